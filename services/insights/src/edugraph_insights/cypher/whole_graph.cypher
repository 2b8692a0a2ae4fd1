// Statements that may read each node of the graph, for callers who may see all of it (access.WHOLE_GRAPH).

// name: frequent_mistakes
// A mistake is an ErrorRecord or a wrong attempt. It concerns a point by its finding. A mistake that concerns several
// synonyms of a point counts once.
MATCH (e)-[:CONCERNS]->(k:KnowledgePoint)
OPTIONAL MATCH (s:Student)-[:MADE|TRIED]->(e)
WITH e, k, s WHERE s.restricted IS NULL
WITH coalesce(k.canonical, k.id) AS id, count(DISTINCT e) AS mistakes, count(DISTINCT s.id) AS students
WHERE students >= $at_least
WITH id, mistakes, students ORDER BY mistakes DESC, id ASC LIMIT $limit
OPTIONAL MATCH (k:KnowledgePoint {id: id})
RETURN id, k.name AS name, mistakes, students ORDER BY mistakes DESC, id ASC

// name: hidden
// Returns restricted students, and their records and days. The records of persons that name a restricted student are
// hidden with all ids in them.
MATCH (s:Student) WHERE s.restricted
OPTIONAL MATCH (s)--(m)
WHERE m:ActiveDay OR m:Attempt OR m:CourseRecord OR m:ErrorRecord OR m:Interaction OR m:Membership
UNWIND [s, m] AS n
WITH n WHERE n IS NOT NULL
RETURN DISTINCT [each IN labels(n) WHERE each <> 'Record'][0] AS label, n.id AS id
UNION
MATCH (s:Student) WHERE s.restricted
MATCH (p:PersonId {id: s.id})<-[:OF_PERSON|CLAIMS|DECIDES]-(r:PersonRecord)
MATCH (r)-[:OF_PERSON|CLAIMS|DECIDES]->(other:PersonId)
UNWIND [r, other] AS n
RETURN DISTINCT [each IN labels(n) WHERE each <> 'Record'][0] AS label, n.id AS id

// name: hidden_names
// Returns names that only records of restricted students have.
MATCH (s:Student)--(m)--(n)
WHERE s.restricted AND (m:Attempt OR m:ErrorRecord OR m:Interaction) AND (n:ErrorType OR n:KnowledgePoint OR n:Misconception OR n:Topic)
WITH DISTINCT n WHERE NOT EXISTS {
  MATCH (n)--(r)
  WHERE (r:Attempt OR r:CourseContent OR r:Definition OR r:ErrorRecord OR r:Interaction OR r:Item)
    AND NOT EXISTS { MATCH (r)--(t:Student) WHERE t.restricted }
}
RETURN labels(n)[0] AS label, n.id AS id

// name: id_claims
// Returns each claim of a person to an id, and whether it is an operator's decision.
MATCH (p:PersonId)<-[:OF_PERSON]-(n:PersonRecord)-[r:CLAIMS|DECIDES]->(c:PersonId)
RETURN DISTINCT p.id AS person, c.id AS claimed, type(r) = 'DECIDES' AS decides

// name: exported_nodes
MATCH (n:{label}) WHERE n.id > $after RETURN n.id AS id, properties(n) AS p ORDER BY n.id LIMIT $limit

// name: exported_relationships
MATCH (n:{label})-[r]->(m) WHERE n.id IN $ids
RETURN n.id AS begin, type(r) AS type, [each IN labels(m) WHERE each <> 'Record'][0] AS label, m.id AS id, properties(r) AS p

// name: reviews
MATCH (v:Review) WHERE v.id > $after RETURN properties(v) AS p ORDER BY v.id LIMIT $limit

// name: constraints
SHOW CONSTRAINTS YIELD labelsOrTypes RETURN labelsOrTypes AS labels

// name: known_ids
// Returns those of these ids that a node of the label has. {label} is filled in.
UNWIND $ids AS id
MATCH (n:{label} {id: id})
RETURN n.id AS id

// name: known_titles
// Returns the titles of those of these items that are in the graph and have a title.
UNWIND $ids AS id
MATCH (i:Item {id: id})
WHERE i.name IS NOT NULL
RETURN i.id AS id, i.name AS title

// name: judged_findings
// Returns the mistakes of a label with a finding that reviewers judged, with the texts that it read.
MATCH (v:Review) WHERE v.record_id IS NOT NULL
WITH DISTINCT v.record_id AS id
MATCH (m:{label} {id: id})
WHERE m.finding IS NOT NULL AND m.verdicts IS NOT NULL
OPTIONAL MATCH (s:Student)-[:MADE|TRIED]->(m) WHERE s.restricted
WITH m, s WHERE s IS NULL
RETURN DISTINCT m.id AS record, m.record_type AS type, m.question AS question, m.response AS response,
  m.error_text AS error_text, m.finding AS finding, m.verdicts AS verdicts

// name: findings_of_records
// Returns the findings of these mistakes of a label, and the verdicts of reviewers, without the texts.
UNWIND $records AS id
MATCH (m:{label} {id: id}) WHERE m.finding IS NOT NULL
RETURN m.id AS record, m.record_type AS type, m.finding AS finding, m.verdicts AS verdicts

// name: ids_of_label
// Returns the ids of all nodes of a label. {label} is filled in.
MATCH (n:{label})
RETURN n.id AS id

// name: found_error_types
// Returns, of these types, each mistake whose finding has a type that no record states and that stands for no other type.
// At most $most mistakes of each are returned.
UNWIND $ids AS id
MATCH (n:ErrorType {id: id})
WHERE NOT EXISTS { MATCH (n)<-[r:OF_TYPE]-() WHERE r.stated_as IS NOT NULL }
  AND NOT EXISTS { MATCH (o:ErrorType) WHERE o.canonical = n.id AND o.id <> n.id }
WITH n, [(n)<-[:OF_TYPE]-(m) WHERE m.finding IS NOT NULL | m][..$most] AS records
UNWIND records AS m
RETURN n.id AS id, m.id AS record, m.record_type AS type, m.finding AS finding, m.verdicts AS verdicts

// name: found_knowledge_points
// Returns, of these points, each mistake whose finding has a point that neither a course, a text, an item nor a
// definition has and that stands for no other point. At most $most mistakes of each are returned.
UNWIND $ids AS id
MATCH (n:KnowledgePoint {id: id})
WHERE NOT EXISTS { MATCH (n)-[:CONTAINS|DESCRIBES|TESTS|DEFINES|DEPENDS_ON]-() }
  AND NOT EXISTS { MATCH (o:KnowledgePoint) WHERE o.canonical = n.id AND o.id <> n.id }
WITH n, [(n)<-[:CONCERNS]-(m) WHERE m.finding IS NOT NULL | m][..$most] AS records
UNWIND records AS m
RETURN n.id AS id, m.id AS record, m.record_type AS type, m.finding AS finding, m.verdicts AS verdicts
