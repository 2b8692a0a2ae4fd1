// name: constraint
// Makes `id` the unique key of a label. This needs a transaction of its own, before any data is loaded.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, PersonRecord, Course, ErrorType, Group, Item, KnowledgePoint, Misconception, PersonId, Student, Teacher, Term, Topic, ActiveDay, Review, ReviewedRecord, ImportBatch, ImportJob, FindingsPack, ClaimChange, IdClaimChange, LeaderChange, RecordChange, Tombstone, Withdrawn, Lock, Schema, Record
CREATE CONSTRAINT edugraph_{label} IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE

// name: drop_index
// Drops the index that remained when the server was killed while it created a constraint. The server refuses to drop
// the index of an existing constraint.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, PersonRecord, Course, ErrorType, Group, Item, KnowledgePoint, Misconception, PersonId, Student, Teacher, Term, Topic, ActiveDay, Review, ReviewedRecord, ImportBatch, ImportJob, FindingsPack, ClaimChange, IdClaimChange, LeaderChange, RecordChange, Tombstone, Withdrawn, Lock, Schema, Record
DROP INDEX edugraph_{label} IF EXISTS

// name: schema_version
// Returns the schema version, or null for a graph without one. `unfinished_from` is the version that the steps of a
// migration have reached so far, or null if no migration is unfinished.
MATCH (s:Schema) RETURN min(s.version) AS version, min(s.unfinished_from) AS unfinished_from

// name: take_migration_lease
// Gives the migration lease to a process, unless another process holds it. All times are from the server's clock. The
// node is locked before its properties are read.
MERGE (l:Lock {id: 'migration'})
SET l.id = 'migration'
WITH l, l.owner <> $owner AND l.until > timestamp() AS held
SET l.owner = CASE WHEN held THEN l.owner ELSE $owner END,
  l.until = CASE WHEN held THEN l.until ELSE timestamp() + $milliseconds END
RETURN l.owner = $owner AS taken

// name: renew_migration_lease
// Extends the lease of this process. Returns no row if another process has taken the lease.
MATCH (l:Lock {id: 'migration'})
SET l.id = 'migration'
WITH l WHERE l.owner = $owner
SET l.until = timestamp() + $milliseconds
RETURN l.owner AS owner

// name: end_migration_lease
// Ends the lease, so that the next process may migrate.
MATCH (l:Lock {id: 'migration'}) WHERE l.owner = $owner
SET l.until = 0

// name: older_transactions
// Returns the number of transactions that have lasted longer than a time.
SHOW TRANSACTIONS YIELD database, elapsedTime
WHERE database = $database AND elapsedTime.milliseconds >= $milliseconds
RETURN count(*) AS number

// name: ledger_rows
// Returns one or two rows if anything was ever written, with or without a version.
MATCH (b:ImportBatch) WITH b LIMIT 1 RETURN b.id AS id
UNION ALL
MATCH (p:FindingsPack) WITH p LIMIT 1 RETURN p.id AS id

// name: set_schema_version
// Sets the schema version of a new graph. A later version stays, so that a slow process sets nothing back.
MERGE (s:Schema {id: 'graph'})
SET s.version = CASE WHEN s.version > $version THEN s.version ELSE $version END

// name: set_migration_progress
// Sets the target version of a migration, and the version that its steps have reached (null when all steps are done).
// From then on releases that know only earlier versions write nothing.
MERGE (s:Schema {id: 'graph'})
SET s.version = $version, s.unfinished_from = $unfinished_from

// name: latest_index
// Creates the indexes that find the records that name, describe or rate a course, the latest one first.
// for: described, named, rated
CREATE INDEX edugraph_in_course_{label} IF NOT EXISTS FOR ()-[r:IN_COURSE]-() ON (r.{label})

// name: course_index
// Creates the index that finds the texts of a course. A course may have millions of other records.
CREATE INDEX edugraph_text_course IF NOT EXISTS FOR (n:CourseContent) ON (n.course_id)

// name: accepted_index
// Creates the index that finds jobs by their acceptance numbers.
CREATE INDEX edugraph_job_accepted IF NOT EXISTS FOR (j:ImportJob) ON (j.accepted)

// name: owner_index
// Creates the index that finds the other ids of a person.
CREATE INDEX edugraph_person_owner IF NOT EXISTS FOR (p:PersonId) ON (p.owner)

// name: tombstone_index
// Creates the index that finds the other tombstones of a person.
CREATE INDEX edugraph_tombstone_person IF NOT EXISTS FOR (t:Tombstone) ON (t.person)

// name: erased_at_index
// Creates the index that finds the last erasure.
CREATE INDEX edugraph_tombstone_at IF NOT EXISTS FOR (t:Tombstone) ON (t.at)

// name: quoted_index
// Creates the index that finds the batches whose report quotes a text. Most reports quote nothing and are not in the
// index.
CREATE TEXT INDEX edugraph_quoted IF NOT EXISTS FOR (b:ImportBatch) ON (b.quoted)

// name: written_index
// Creates the indexes that find the records and days of activity which a transaction wrote.
// for: ActiveDay, Attempt, CourseRecord, ErrorRecord, Interaction, Membership
CREATE INDEX edugraph_written_{label} IF NOT EXISTS FOR (n:{label}) ON (n.written)

// name: changed_index
// Creates the index that finds the students from whom a transaction took something.
CREATE INDEX edugraph_student_changed IF NOT EXISTS FOR (s:Student) ON (s.changed)
