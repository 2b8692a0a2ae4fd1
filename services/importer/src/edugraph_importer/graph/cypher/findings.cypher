// name: lock_records
// Locks records in the given order and reads their stored properties. The lock is not taken by setting the key: Neo4j
// 2026.08 would then refuse a new record with that key in the same transaction, although the old one was deleted.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, PersonRecord
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
SET n += row.p, n.written = $word

// name: link_ABOUT
// Links an interaction, or an answer without an outcome, to a topic that was found in it.
// for: Attempt, Interaction
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
MATCH (t:Topic {id: row.end})
MERGE (n)-[r:ABOUT]->(t)
SET r += row.p, n.written = $word

// name: link_OF_TYPE
// Links a mistake to an error type that was found in it.
// for: Attempt, ErrorRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
MATCH (t:ErrorType {id: row.end})
MERGE (n)-[r:OF_TYPE]->(t)
SET r += row.p, n.written = $word

// name: link_CONCERNS
// Links a mistake to a knowledge point that was found behind it.
// for: Attempt, ErrorRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
MATCH (t:KnowledgePoint {id: row.end})
MERGE (n)-[r:CONCERNS]->(t)
SET r += row.p, n.written = $word

// name: link_SHOWS
// Links a mistake to the sentence about what went wrong in it.
// for: Attempt, ErrorRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
MATCH (t:Misconception {id: row.end})
MERGE (n)-[r:SHOWS]->(t)
SET r += row.p, n.written = $word

// name: link_DESCRIBES
// Links a text to a knowledge point that was found in it.
// for: CourseContent
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
MATCH (t:KnowledgePoint {id: row.end})
MERGE (n)-[r:DESCRIBES]->(t)
SET r += row.p, n.written = $word

// name: unlink_ABOUT
// Removes a topic that is no longer found. It stays if the record itself states it. `read_learns` says why the far
// end has no label.
// for: Attempt, Interaction
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})-[r:ABOUT]->(t) WHERE t.id = row.end
SET r.found_as = null, n.written = $word
WITH r WHERE r.stated_as IS NULL
DELETE r

// name: unlink_OF_TYPE
// Removes an error type that is no longer found. It stays if the record itself states it.
// for: Attempt, ErrorRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})-[r:OF_TYPE]->(t) WHERE t.id = row.end
SET r.found_as = null, r.confidence = null, n.written = $word
WITH r WHERE r.stated_as IS NULL
DELETE r

// name: unlink_CONCERNS
// Removes a knowledge point that is no longer found behind a mistake.
// for: Attempt, ErrorRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})-[r:CONCERNS]->(t) WHERE t.id = row.end
SET n.written = $word
DELETE r

// name: unlink_SHOWS
// Removes a sentence that no longer says what went wrong in a mistake.
// for: Attempt, ErrorRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})-[r:SHOWS]->(t) WHERE t.id = row.end
SET n.written = $word
DELETE r

// name: unlink_DESCRIBES
// Removes a knowledge point that is no longer found in a text.
// for: CourseContent
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})-[r:DESCRIBES]->(t) WHERE t.id = row.end
SET n.written = $word
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

// name: spellings_Misconception
// Returns the number of records by spelling of a sentence about what went wrong.
UNWIND $ids AS id
MATCH (t:Misconception {id: id})<-[r:SHOWS]-(n)
UNWIND coalesce(r.found_as, []) AS spelling
RETURN id, spelling, count(*) AS records

// name: descriptions
// Returns the descriptions and categories that all texts give to a knowledge point.
UNWIND $ids AS id
MATCH (k:KnowledgePoint {id: id})<-[d:DESCRIBES]-(n:CourseContent)
WHERE d.description IS NOT NULL OR d.category IS NOT NULL
RETURN id, n.id AS record, n.timestamp AS timestamp, d.description AS description, d.category AS category

// name: delete_orphans
// Deletes nodes that no record names any more. A restricted node stays, for records that come later, and an id stays
// until the settler has given its records back to it. A proposal of an encoder does not keep a node. Both numbers are
// known without reading relationships, and a node may have millions of them.
// for: Course, ErrorType, Group, Item, KnowledgePoint, Misconception, PersonId, Student, Teacher, Term, Topic
UNWIND $ids AS id
MATCH (n:{label} {id: id})
WHERE COUNT { (n)--() } = COUNT { (n)-[:PROPOSED_SAME]-() } AND n.restricted IS NULL
  AND n.owner IS NULL AND n.places IS NULL
DETACH DELETE n
RETURN count(*) AS deleted

// name: course_members
// Returns the names of the people whose records are in a course: the name of the person's node, the name in the
// record, and the name in a list of the person's ids.
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
UNION
MATCH (c:Course {id: $id})
MATCH (c)<-[:IN_COURSE]-()-[:SENT|RECEIVED_BY|MADE|TRIED|HAS_RECORD]-(p)
WITH DISTINCT p LIMIT $limit
MATCH (i:PersonId {id: p.id})
MATCH (i)<-[:OF_PERSON]-(n) WHERE n.name IS NOT NULL
RETURN DISTINCT n.name AS name, null AS called
UNION
MATCH (c:Course {id: $id})
MATCH (c)<-[:OF_COURSE]-()<-[:IN_GROUP]-()<-[:HAS_MEMBERSHIP]-(p)
WITH DISTINCT p LIMIT $limit
MATCH (i:PersonId {id: p.id})
MATCH (i)<-[:OF_PERSON]-(n) WHERE n.name IS NOT NULL
RETURN DISTINCT n.name AS name, null AS called

// name: course_contexts
// Returns the name, the description and the knowledge points of a course.
UNWIND $ids AS id
MATCH (c:Course {id: id})
OPTIONAL MATCH (c)-[r:CONTAINS]->(k:KnowledgePoint)
RETURN id, c.name AS name, c.description AS description, k.name AS point, r.order AS place

// name: points_of_definitions
// Returns the points that these records define.
UNWIND $ids AS id
MATCH (d:Definition {id: id})-[:DEFINES]->(k:KnowledgePoint)
RETURN DISTINCT k.id AS point

// name: courses_of_points
// Returns the courses that have one of these points, by any of its names.
UNWIND $points AS id
MATCH (k:KnowledgePoint {id: id})
MATCH (c:Course)-[:CONTAINS]->(:KnowledgePoint {canonical: k.canonical})
RETURN DISTINCT c.id AS course

// name: count_texts_read
// Returns the number of records of a course that have a finding.
MATCH (c:Course {id: $id})<-[:IN_COURSE]-(n)
WHERE n.finding IS NOT NULL
RETURN count(n) AS texts

// name: texts_read
// Returns the records of a course that have a finding, those first whose finding is the oldest.
MATCH (c:Course {id: $id})<-[:IN_COURSE]-(n)
WHERE n.finding IS NOT NULL
WITH n ORDER BY coalesce(n.finding_key, ''), n.id
RETURN n.id AS record_id, coalesce(n.accepted, 0) AS accepted, coalesce(n.row, 0) AS row, n.content_hash AS content_hash

// name: stated_points
// Returns what definitions state of the points that are defined for a course: the definitions for this course, and those
// of a curriculum, which name no course. Their ids and times are left out. A course has far more records than points, so
// the plan begins at the points.
UNWIND $ids AS id
MATCH (c:Course {id: id})-[:CONTAINS]->(k)
WITH id, k
MATCH (k)<-[:DEFINES]-(m)-[:IN_COURSE]->(e) WHERE e.id = id
WITH DISTINCT id, k
MATCH (k)<-[d:DEFINES]-(n)
WHERE NOT EXISTS { MATCH (n)-[:IN_COURSE]->(f) WHERE f.id <> id }
OPTIONAL MATCH (n)-[:REQUIRES]->(r)
RETURN id, [k.id, d.importance, n.name, n.names, n.label, n.description, n.parent, n.standard_id, r.id] AS stated
