// name: lock_records
// Locks records in the given order and reads their stored properties. The lock is not taken by setting the key: Neo4j
// 2026.08 would then refuse a new record with that key in the same transaction, although the old one was deleted.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership
UNWIND $ids AS id
MATCH (n:{label} {id: id})
SET n.content_hash = n.content_hash
RETURN collect([id, [n.record_type, n.timestamp, n.content_hash, n.reading, n.changed_at, n.accepted, n.row, n.history],
  n.finding, n.verdicts, n.finding_key, n.renamed]) AS records

// name: set_finding
// Sets the finding of a record on the record's node.
// for: Attempt, CourseContent, ErrorRecord, Interaction
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
SET n += row.p

// name: link_ABOUT
// Links an interaction, or an answer without an outcome, to a topic that was found in it.
// for: Attempt, Interaction
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
MATCH (t:Topic {id: row.end})
MERGE (n)-[r:ABOUT]->(t)
SET r += row.p

// name: link_OF_TYPE
// Links a mistake to an error type that was found in it.
// for: Attempt, ErrorRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
MATCH (t:ErrorType {id: row.end})
MERGE (n)-[r:OF_TYPE]->(t)
SET r += row.p

// name: link_CONCERNS
// Links a mistake to a knowledge point that was found behind it.
// for: Attempt, ErrorRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
MATCH (t:KnowledgePoint {id: row.end})
MERGE (n)-[r:CONCERNS]->(t)
SET r += row.p

// name: link_DESCRIBES
// Links a text to a knowledge point that was found in it.
// for: CourseContent
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
MATCH (t:KnowledgePoint {id: row.end})
MERGE (n)-[r:DESCRIBES]->(t)
SET r += row.p

// name: unlink_ABOUT
// Removes a topic that is no longer found. It stays if the record itself states it. `read_learns` says why the far
// end has no label.
// for: Attempt, Interaction
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})-[r:ABOUT]->(t) WHERE t.id = row.end
SET r.found_as = null
WITH r WHERE r.stated_as IS NULL
DELETE r

// name: unlink_OF_TYPE
// Removes an error type that is no longer found. It stays if the record itself states it.
// for: Attempt, ErrorRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})-[r:OF_TYPE]->(t) WHERE t.id = row.end
SET r.found_as = null, r.confidence = null
WITH r WHERE r.stated_as IS NULL
DELETE r

// name: unlink_CONCERNS
// Removes a knowledge point that is no longer found behind a mistake.
// for: Attempt, ErrorRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})-[r:CONCERNS]->(t) WHERE t.id = row.end
DELETE r

// name: unlink_DESCRIBES
// Removes a knowledge point that is no longer found in a text.
// for: CourseContent
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})-[r:DESCRIBES]->(t) WHERE t.id = row.end
DELETE r

// name: add_relates_to
// Adds to the number of records that show a mistake of the type with the point behind it, and to the sums of strength
// and confidence.
UNWIND $rows AS row
MATCH (t:ErrorType {id: row.from})
MATCH (k:KnowledgePoint {id: row.to})
MERGE (t)-[r:RELATES_TO]->(k)
ON CREATE SET r.records = row.records, r.strength_sum = row.strength_sum, r.confidence_sum = row.confidence_sum
ON MATCH SET r.records = r.records + row.records, r.strength_sum = r.strength_sum + row.strength_sum,
  r.confidence_sum = r.confidence_sum + row.confidence_sum
WITH r WHERE r.records > 0
SET r.strength = r.strength_sum / (1000.0 * r.records), r.confidence = r.confidence_sum / (1000.0 * r.records)

// name: remove_unrelated
// Removes relationships that no record shows any more.
UNWIND $rows AS row
MATCH (t:ErrorType {id: row.from})-[r:RELATES_TO]->(k) WHERE k.id = row.to AND r.records <= 0
DELETE r

// name: raise_contains
// Adds one more text that describes the point. The point is core if any text says so, and it has the smallest order.
UNWIND $rows AS row
MATCH (k:KnowledgePoint {id: row.to})
MATCH (c:Course {id: row.from})
MERGE (k)<-[r:CONTAINS]-(c)
ON CREATE SET r.importance = row.importance, r.order = row.order
ON MATCH SET r.importance = CASE WHEN row.importance = 'core' THEN row.importance ELSE r.importance END,
  r.order = CASE WHEN r.order IS NULL OR row.order < r.order THEN row.order ELSE r.order END

// name: stated_related
// Returns, for each record with a mistake of these types, the points behind it with strength and confidence.
UNWIND $ids AS id
MATCH (t:ErrorType {id: id})<-[:OF_TYPE]-(n)-[c:CONCERNS]->(k)
RETURN id AS from, k.id AS to, c.strength AS strength, c.confidence AS confidence

// name: recompute_contains
// Returns the importance and order of a knowledge point from all texts and definitions of a course.
UNWIND $rows AS row
MATCH (k:KnowledgePoint {id: row.to})<-[d:DESCRIBES|DEFINES]-(n)-[:IN_COURSE]->(c) WHERE c.id = row.from
  AND d.importance IS NOT NULL
RETURN row.from AS from, row.to AS to, min(d.importance) AS importance, min(d.order) AS order

// name: recompute_has_error
// Returns the mistakes of one type that a student made in one course.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})-[:MADE|TRIED]->(n)-[:OF_TYPE]->(t) WHERE t.id = row.type
MATCH (n)-[:IN_COURSE]->(c) WHERE c.id = row.course
RETURN row.student AS student, row.type AS type, row.course AS course, n.id AS record, n.timestamp AS timestamp,
  coalesce(n.occurrence_count, 1) AS count, coalesce(n.severity, n.found_severity) AS severity, n.resolved AS resolved

// name: remove_relates_to
// Removes pairs that are recomputed, or whose records were removed.
UNWIND $rows AS row
MATCH (t:ErrorType {id: row.from})-[r:RELATES_TO]->(k) WHERE k.id = row.to
DELETE r

// name: remove_contains
// Removes pairs that are recomputed, or whose texts were removed.
UNWIND $rows AS row
MATCH (c:Course {id: row.from})-[r:CONTAINS]->(k) WHERE k.id = row.to
DELETE r

// name: remove_has_error
// Removes totals that are recomputed, or whose records were removed.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})-[r:HAS_ERROR {course_id: row.course}]->(t) WHERE t.id = row.type
DELETE r

// name: spellings_Topic
// Returns the number of records by spelling of a topic.
UNWIND $ids AS id
MATCH (t:Topic {id: id})<-[r:ABOUT]-(n)
UNWIND coalesce(r.stated_as, []) + coalesce(r.found_as, []) AS spelling
RETURN id, spelling, count(*) AS records

// name: spellings_ErrorType
// Returns the number of records by spelling of an error type.
UNWIND $ids AS id
MATCH (t:ErrorType {id: id})<-[r:OF_TYPE]-(n)
UNWIND coalesce(r.stated_as, []) + coalesce(r.found_as, []) AS spelling
RETURN id, spelling, count(*) AS records

// name: spellings_KnowledgePoint
// Returns the number of records by spelling of a knowledge point.
UNWIND $ids AS id
MATCH (k:KnowledgePoint {id: id})<-[r:CONCERNS|DESCRIBES]-(n)
UNWIND coalesce(r.found_as, []) AS spelling
RETURN id, spelling, count(*) AS records

// name: descriptions
// Returns the descriptions and categories that all texts give to a knowledge point.
UNWIND $ids AS id
MATCH (k:KnowledgePoint {id: id})<-[d:DESCRIBES]-(n:CourseContent)
WHERE d.description IS NOT NULL OR d.category IS NOT NULL
RETURN id, n.id AS record, n.timestamp AS timestamp, d.description AS description, d.category AS category

// name: delete_orphans
// Deletes nodes that no record names any more. A restricted node stays, for records that come later. A proposal of an
// encoder does not keep a node. Both numbers are known without reading relationships, and a node may have millions of
// them.
// for: Course, ErrorType, Group, Item, KnowledgePoint, Student, Teacher, Term, Topic
UNWIND $ids AS id
MATCH (n:{label} {id: id})
WHERE COUNT { (n)--() } = COUNT { (n)-[:PROPOSED_SAME]-() } AND n.restricted IS NULL
DETACH DELETE n
RETURN count(*) AS deleted

// name: course_members
// Returns the names of the people whose records are in a course: the name of the person's node, and the name in the
// record.
MATCH (c:Course {id: $id})
MATCH (c)<-[:IN_COURSE]-(n)<-[r:SENT|MADE|TRIED|HAS_RECORD]-(p)
WHERE coalesce(p.name, r.name) IS NOT NULL
RETURN DISTINCT p.name AS name, coalesce(r.name, n.student_name) AS called LIMIT $limit
UNION
MATCH (c:Course {id: $id})
MATCH (c)<-[:IN_COURSE]-(n)-[r:RECEIVED_BY]->(p)
WHERE coalesce(p.name, r.name) IS NOT NULL
RETURN DISTINCT p.name AS name, r.name AS called LIMIT $limit
UNION
MATCH (c:Course {id: $id})
MATCH (c)<-[:OF_COURSE]-(g)<-[:IN_GROUP]-(n)<-[r:HAS_MEMBERSHIP]-(p)
WHERE coalesce(p.name, r.name) IS NOT NULL
RETURN DISTINCT p.name AS name, r.name AS called LIMIT $limit

// name: course_contexts
// Returns the name, the description and the knowledge points of a course.
UNWIND $ids AS id
MATCH (c:Course {id: id})
OPTIONAL MATCH (c)-[r:CONTAINS]->(k:KnowledgePoint)
RETURN id, c.name AS name, c.description AS description, k.name AS point, r.order AS place
