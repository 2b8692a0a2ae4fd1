// name: constraint
// Makes `id` the unique key of a label. It runs in a transaction of its own, before any load.
// for: CourseContent, ErrorRecord, Interaction, Course, ErrorType, KnowledgePoint, Student, Teacher, Topic, ImportBatch, ImportJob, FindingsPack, Tombstone, Lock
CREATE CONSTRAINT edugraph_{label} IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE

// name: drop_index
// Drops the index that a constraint left when the server was killed while it made the constraint. The server refuses
// to drop one that belongs to a constraint.
// for: CourseContent, ErrorRecord, Interaction, Course, ErrorType, KnowledgePoint, Student, Teacher, Topic, ImportBatch, ImportJob, FindingsPack, Tombstone, Lock
DROP INDEX edugraph_{label} IF EXISTS
