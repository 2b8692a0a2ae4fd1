// name: constraint
// Makes `id` the unique key of a label. It runs in a transaction of its own, before any load.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, Course, ErrorType, Group, Item, KnowledgePoint, Student, Teacher, Term, Topic, ActiveDay, Review, ReviewedRecord, ImportBatch, ImportJob, FindingsPack, ClaimChange, Tombstone, Withdrawn, Lock, Schema, Record
CREATE CONSTRAINT edugraph_{label} IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE

// name: drop_index
// Drops the index that a constraint left when the server was killed while it made the constraint. The server refuses
// to drop one that belongs to a constraint.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, Course, ErrorType, Group, Item, KnowledgePoint, Student, Teacher, Term, Topic, ActiveDay, Review, ReviewedRecord, ImportBatch, ImportJob, FindingsPack, ClaimChange, Tombstone, Withdrawn, Lock, Schema, Record
DROP INDEX edugraph_{label} IF EXISTS

// name: schema_version
// Returns in which form the graph is kept. `unfinished_from` is the version that the steps of a migration have reached
// so far, and null when no migration is unfinished. Where releases without the constraint left several such nodes, the
// lowest version counts.
MATCH (s:Schema) RETURN min(s.version) AS version, min(s.unfinished_from) AS unfinished_from

// name: several_schemas
// Returns a row if there is more than one node of the version.
MATCH (s:Schema) WITH s SKIP 1 LIMIT 1 RETURN s.id AS id

// name: keep_lowest_schema
// Leaves the node of the lowest version, so that every step is done that was not done for all of them.
MATCH (s:Schema)
WITH s ORDER BY coalesce(s.unfinished_from, s.version)
WITH collect(s) AS schemas
UNWIND schemas[1..] AS other
DELETE other

// name: take_migration_lease
// Makes a process the only one that migrates, unless another one is. The times are those of the server's clock. The
// node is locked before its properties are read.
MERGE (l:Lock {id: 'migration'})
SET l.id = 'migration'
WITH l, l.owner <> $owner AND l.until > timestamp() AS held
SET l.owner = CASE WHEN held THEN l.owner ELSE $owner END,
  l.until = CASE WHEN held THEN l.until ELSE timestamp() + $milliseconds END
RETURN l.owner = $owner AS taken

// name: renew_migration_lease
// Holds the lease of this process for longer. It returns nothing when another process has taken it over.
MATCH (l:Lock {id: 'migration'})
SET l.id = 'migration'
WITH l WHERE l.owner = $owner
SET l.until = timestamp() + $milliseconds
RETURN l.owner AS owner

// name: end_migration_lease
// Lets the next process migrate.
MATCH (l:Lock {id: 'migration'}) WHERE l.owner = $owner
SET l.until = 0

// name: older_transactions
// Returns how many transactions have lasted for longer than a time.
SHOW TRANSACTIONS YIELD database, elapsedTime
WHERE database = $database AND elapsedTime.milliseconds >= $milliseconds
RETURN count(*) AS number

// name: ledger_rows
// Returns a row or two if anything was ever written, perhaps by a release that kept no version.
MATCH (b:ImportBatch) WITH b LIMIT 1 RETURN b.id AS id
UNION ALL
MATCH (p:FindingsPack) WITH p LIMIT 1 RETURN p.id AS id

// name: set_schema_version
// Sets in which form a graph is kept that nothing was written to; a process that comes late sets nothing back.
MERGE (s:Schema {id: 'graph'})
SET s.version = CASE WHEN s.version > $version THEN s.version ELSE $version END

// name: set_migration_progress
// Sets which version a migration leads to, and which one its steps have reached; null when all are done. Releases that
// know only earlier versions write nothing from then on.
MERGE (s:Schema {id: 'graph'})
SET s.version = $version, s.unfinished_from = $unfinished_from

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

// name: accepted_index
// Makes jobs findable by their acceptance numbers.
CREATE INDEX edugraph_job_accepted IF NOT EXISTS FOR (j:ImportJob) ON (j.accepted)

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
