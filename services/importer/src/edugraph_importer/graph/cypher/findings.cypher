// name: lock_prerequisites
// One transaction at a time writes prerequisites: it holds this node.
MERGE (n:Lock {id: 'prerequisites'})
SET n.id = 'prerequisites'

// name: lock_records
// Locks records in the order given and reads what is known of them. Not by their key: Neo4j 2026.08 would then refuse
// a new record under that key in the same transaction, though the old one was deleted.
// for: CourseContent, ErrorRecord, Interaction
UNWIND $ids AS id
MATCH (n:{label} {id: id})
SET n.content_hash = n.content_hash
RETURN collect([id, n.timestamp, n.content_hash, n.finding]) AS records

// name: set_finding
// What was found in a record, on its own node.
// for: CourseContent, ErrorRecord, Interaction
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
SET n += row.p

// name: link_ABOUT
// A topic found in an interaction.
UNWIND $rows AS row
MATCH (n:Interaction {id: row.id})
MATCH (t:Topic {id: row.end})
MERGE (n)-[r:ABOUT]->(t)
SET r += row.p

// name: link_OF_TYPE
// An error type found in a mistake.
UNWIND $rows AS row
MATCH (n:ErrorRecord {id: row.id})
MATCH (t:ErrorType {id: row.end})
MERGE (n)-[r:OF_TYPE]->(t)
SET r += row.p

// name: link_CONCERNS
// A knowledge point found behind a mistake.
UNWIND $rows AS row
MATCH (n:ErrorRecord {id: row.id})
MATCH (t:KnowledgePoint {id: row.end})
MERGE (n)-[r:CONCERNS]->(t)
SET r += row.p

// name: link_DESCRIBES
// A knowledge point found in a text.
UNWIND $rows AS row
MATCH (n:CourseContent {id: row.id})
MATCH (t:KnowledgePoint {id: row.end})
MERGE (n)-[r:DESCRIBES]->(t)
SET r += row.p

// name: unlink_ABOUT
// A topic that is no longer found; it stays if the record itself states it. No label at the far end, as in read_learns.
UNWIND $rows AS row
MATCH (n:Interaction {id: row.id})-[r:ABOUT]->(t) WHERE t.id = row.end
SET r.found_as = null
WITH r WHERE r.stated_as IS NULL
DELETE r

// name: unlink_OF_TYPE
// An error type that is no longer found; it stays if the record itself states it.
UNWIND $rows AS row
MATCH (n:ErrorRecord {id: row.id})-[r:OF_TYPE]->(t) WHERE t.id = row.end
SET r.found_as = null, r.confidence = null
WITH r WHERE r.stated_as IS NULL
DELETE r

// name: unlink_CONCERNS
// A knowledge point that is no longer found behind a mistake.
UNWIND $rows AS row
MATCH (n:ErrorRecord {id: row.id})-[r:CONCERNS]->(t) WHERE t.id = row.end
DELETE r

// name: unlink_DESCRIBES
// A knowledge point that is no longer found in a text.
UNWIND $rows AS row
MATCH (n:CourseContent {id: row.id})-[r:DESCRIBES]->(t) WHERE t.id = row.end
DELETE r

// name: raise_relates_to
// One more record that has both: the strongest decides.
UNWIND $rows AS row
MATCH (t:ErrorType {id: row.from})
MATCH (k:KnowledgePoint {id: row.to})
MERGE (t)-[r:RELATES_TO]->(k)
ON CREATE SET r.strength = row.strength, r.confidence = row.confidence
ON MATCH SET r.strength = CASE WHEN row.strength > r.strength THEN row.strength ELSE r.strength END,
  r.confidence = CASE WHEN row.confidence > r.confidence THEN row.confidence ELSE r.confidence END

// name: raise_contains
// One more text that describes the point: core if any says so, in the smallest order.
UNWIND $rows AS row
MATCH (k:KnowledgePoint {id: row.to})
MATCH (c:Course {id: row.from})
MERGE (k)<-[r:CONTAINS]-(c)
ON CREATE SET r.importance = row.importance, r.order = row.order
ON MATCH SET r.importance = CASE WHEN row.importance = 'core' THEN row.importance ELSE r.importance END,
  r.order = CASE WHEN r.order IS NULL OR row.order < r.order THEN row.order ELSE r.order END

// name: recount_relates_to
// The strongest of the records that have both an error type and a knowledge point.
UNWIND $rows AS row
MATCH (k:KnowledgePoint {id: row.to})<-[c:CONCERNS]-(n:ErrorRecord)-[:OF_TYPE]->(t) WHERE t.id = row.from
RETURN row.from AS from, row.to AS to, max(c.strength) AS strength, max(c.confidence) AS confidence

// name: recount_contains
// What all texts of a course say of a knowledge point.
UNWIND $rows AS row
MATCH (k:KnowledgePoint {id: row.to})<-[d:DESCRIBES]-(n:CourseContent)-[:IN_COURSE]->(c) WHERE c.id = row.from
  AND d.importance IS NOT NULL
RETURN row.from AS from, row.to AS to, min(d.importance) AS importance, min(d.order) AS order

// name: recount_has_error
// A student's own mistakes of one type in one course.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})-[:MADE]->(n:ErrorRecord)-[:OF_TYPE]->(t) WHERE t.id = row.type
MATCH (n)-[:IN_COURSE]->(c) WHERE c.id = row.course
RETURN row.student AS student, row.type AS type, row.course AS course, n.id AS id, n.timestamp AS timestamp,
  n.occurrence_count AS count, coalesce(n.severity, n.found_severity) AS severity, n.resolved AS resolved

// name: remove_relates_to
// Pairs whose records are counted anew, or are no more.
UNWIND $rows AS row
MATCH (t:ErrorType {id: row.from})-[r:RELATES_TO]->(k) WHERE k.id = row.to
DELETE r

// name: remove_contains
// Pairs whose texts are counted anew, or are no more.
UNWIND $rows AS row
MATCH (c:Course {id: row.from})-[r:CONTAINS]->(k) WHERE k.id = row.to
DELETE r

// name: remove_has_error
// Mistakes that are counted anew, or are no more.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})-[r:HAS_ERROR {course_id: row.course}]->(t) WHERE t.id = row.type
DELETE r

// name: spellings_Topic
// How a topic is called by all that name it.
UNWIND $ids AS id
MATCH (t:Topic {id: id})<-[r:ABOUT]-(n:Interaction)
RETURN id, n.id AS record, n.timestamp AS timestamp, coalesce(r.stated_as, []) + coalesce(r.found_as, []) AS spelled

// name: spellings_ErrorType
// How an error type is called by all that name it.
UNWIND $ids AS id
MATCH (t:ErrorType {id: id})<-[r:OF_TYPE]-(n:ErrorRecord)
RETURN id, n.id AS record, n.timestamp AS timestamp, coalesce(r.stated_as, []) + coalesce(r.found_as, []) AS spelled

// name: spellings_KnowledgePoint
// How a knowledge point is called by all that name it.
UNWIND $ids AS id
MATCH (k:KnowledgePoint {id: id})<-[r:CONCERNS|DESCRIBES]-(n)
RETURN id, n.id AS record, n.timestamp AS timestamp, r.found_as AS spelled

// name: descriptions
// What all texts say of a knowledge point.
UNWIND $ids AS id
MATCH (k:KnowledgePoint {id: id})<-[d:DESCRIBES]-(n:CourseContent)
WHERE d.description IS NOT NULL OR d.category IS NOT NULL
RETURN id, n.id AS record, n.timestamp AS timestamp, d.description AS description, d.category AS category

// name: prerequisites
// All claimed prerequisites: followed, and set aside.
MATCH (a:KnowledgePoint)-[r:DEPENDS_ON]->(b:KnowledgePoint)
RETURN collect([a.id, b.id, r.confidence]) AS claims, false AS aside
UNION ALL
MATCH (a:KnowledgePoint)-[r:SET_ASIDE]->(b:KnowledgePoint)
RETURN collect([a.id, b.id, r.confidence]) AS claims, true AS aside

// name: claims
// Who claims that a point requires others, and with what confidence.
UNWIND $ids AS id
MATCH (k:KnowledgePoint {id: id})<-[d:DESCRIBES]-(n:CourseContent)
WHERE d.requires IS NOT NULL
RETURN id, n.id AS record, d.requires AS requires, d.requires_confidence AS confidence

// name: remove_prerequisites
// Edges that changed or are claimed no more.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})-[r:DEPENDS_ON|SET_ASIDE]->(b) WHERE b.id = row.to
DELETE r

// name: create_depends_on
// A prerequisite that is followed.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
CREATE (a)-[:DEPENDS_ON {confidence: row.confidence}]->(b)

// name: create_set_aside
// A prerequisite that would close a cycle: kept to be seen.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
CREATE (a)-[:SET_ASIDE {confidence: row.confidence}]->(b)

// name: delete_orphans
// Nodes that nothing names any more.
// for: Course, ErrorType, KnowledgePoint, Student, Teacher, Topic
UNWIND $ids AS id
MATCH (n:{label} {id: id})
WHERE NOT EXISTS { (n)--() }
DELETE n
RETURN count(*) AS deleted

// name: course_contexts
// What is known of a course: its texts and its knowledge points, in their order.
UNWIND $ids AS id
MATCH (c:Course {id: id})
OPTIONAL MATCH (c)-[r:CONTAINS]->(k:KnowledgePoint)
RETURN id, c.name AS name, c.description AS description, k.name AS point, r.order AS place
