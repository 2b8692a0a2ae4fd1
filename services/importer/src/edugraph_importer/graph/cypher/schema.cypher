// name: constraint
// Makes `id` the unique key of a label. It runs in a transaction of its own, before any load.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, Course, ErrorType, Group, Item, KnowledgePoint, Student, Teacher, Term, Topic, ActiveDay, Review, ReviewedRecord, ImportBatch, ImportJob, FindingsPack, ClaimChange, Tombstone, Withdrawn, Lock, Schema
CREATE CONSTRAINT edugraph_{label} IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE

// name: drop_index
// Drops the index that a constraint left when the server was killed while it made the constraint. The server refuses
// to drop one that belongs to a constraint.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, Course, ErrorType, Group, Item, KnowledgePoint, Student, Teacher, Term, Topic, ActiveDay, Review, ReviewedRecord, ImportBatch, ImportJob, FindingsPack, ClaimChange, Tombstone, Withdrawn, Lock, Schema
DROP INDEX edugraph_{label} IF EXISTS

// name: schema_version
// Returns in which form the graph is kept. There is one such node, and perhaps no index on it yet.
MATCH (s:Schema) RETURN s.version AS version

// name: ledger_rows
// Returns a row or two if anything was ever written, perhaps by a release that kept no version.
MATCH (b:ImportBatch) WITH b LIMIT 1 RETURN b.id AS id
UNION ALL
MATCH (p:FindingsPack) WITH p LIMIT 1 RETURN p.id AS id

// name: set_schema_version
// Sets in which form the graph is kept; a process that comes late sets nothing back.
MERGE (s:Schema {id: 'graph'})
SET s.version = CASE WHEN s.version > $version THEN s.version ELSE $version END

// name: lock_old_learns
// Locks students and returns how they stand in courses, as releases before version 2 of the schema kept it.
UNWIND $ids AS id
MATCH (s:Student {id: id})
SET s.id = id
WITH s
MATCH (s)-[r:LEARNS]->(c:Course) WHERE r.records IS NOT NULL
RETURN s.id AS student, c.id AS course, properties(r) AS properties

// name: create_carried
// Keeps what an older release knew of a student in a course, where its records are not known one by one.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (c:Course {id: row.course})
CREATE (s)-[:HAS_RECORD]->(n:CourseRecord {
  id: row.id, carried: true, timestamp: datetime(row.at),
  enrollment_date: datetime(row.enrolled), completion_date: datetime(row.completed)
})-[:IN_COURSE]->(c)
SET n += row.p

// name: replace_learns
// Leaves nothing of what an older release kept there.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (s)-[r:LEARNS]->(c) WHERE c.id = row.course
SET r = row.p, r.enrollment_date = datetime(row.enrolled), r.completion_date = datetime(row.completed)

// name: remove_name_stamp
// Removes what a release before version 7 of the schema kept of the first spelling.
// for: ErrorType, KnowledgePoint, Topic
UNWIND $ids AS id
MATCH (n:{label} {id: id})
REMOVE n.name_stamp

// name: latest_index
// Makes the records findable that name, describe or rate a course, the latest one first.
// for: described, named, rated
CREATE INDEX edugraph_in_course_{label} IF NOT EXISTS FOR ()-[r:IN_COURSE]-() ON (r.{label})

// name: course_index
// Makes the texts of a course findable, beside which it may have millions of other records.
CREATE INDEX edugraph_text_course IF NOT EXISTS FOR (n:CourseContent) ON (n.course_id)

// name: set_course_of_texts
// Says of texts of which course they are.
UNWIND $ids AS id
MATCH (n:CourseContent {id: id})
MATCH (n)-[:IN_COURSE]->(c)
SET n.course_id = c.id

// name: quoted_index
// Makes the batches findable whose report quotes a text. Most quote nothing, and are in no index.
CREATE TEXT INDEX edugraph_quoted IF NOT EXISTS FOR (b:ImportBatch) ON (b.quoted)

// name: reports
// Returns what batches keep of their reports.
UNWIND $ids AS id
MATCH (b:ImportBatch {id: id})
RETURN b.id AS id, b.outcome AS outcome, b.set_aside AS set_aside

// name: said_of_courses
// Returns what these records may say of their courses.
// for: CourseContent, CourseRecord, ErrorRecord
UNWIND $ids AS id
MATCH (n:{label} {id: id})
MATCH (n)-[r:IN_COURSE]->(c)
RETURN n.id AS record, n.timestamp AS timestamp, c.id AS course, r.name AS name, properties(n) AS properties

// name: set_said_of_courses
// Sets by which keys these records are sought.
// for: CourseContent, CourseRecord, ErrorRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.record})
MATCH (n)-[r:IN_COURSE]->(c) WHERE c.id = row.course
SET r.named = row.named, r.described = row.described, r.rated = row.rated
