// name: properties_of_student
// Returns the properties of a student's node.
MATCH (s:Student {id: $id})
RETURN properties(s) AS properties

// name: whole_records_of_student
// Returns all records that a student sent, received, made or tried, the records about the student in courses and
// groups, the days on which the student was active, and the records of persons that name the id. A record that claims the
// id may be about another person, so the name and the other ids in it are left out.
MATCH (s:Student {id: $id})-[r:SENT|RECEIVED_BY|MADE|TRIED|HAS_RECORD|HAS_MEMBERSHIP|ACTIVE_ON]-(n)
RETURN [each IN labels(n) WHERE each <> 'Record'][0] AS label, type(r) AS role, r.name AS called, properties(n) AS properties
UNION ALL
MATCH (p:PersonId {id: $id})<-[:OF_PERSON]-(n)
OPTIONAL MATCH (n)-[r:CLAIMS|DECIDES]->(other)
WITH p, n, collect(other.id) AS also, collect(type(r)) AS kinds
RETURN 'PersonRecord' AS label, 'OF_PERSON' AS role, null AS called,
  n {.*, person_id: p.id, also: also, decides: 'DECIDES' IN kinds} AS properties
UNION ALL
MATCH (p:PersonId {id: $id})<-[r:CLAIMS|DECIDES]-(n) WHERE NOT (n)-[:OF_PERSON]->(p)
RETURN 'PersonRecord' AS label, type(r) AS role, null AS called, n {.*, name: null, also: [$id]} AS properties
