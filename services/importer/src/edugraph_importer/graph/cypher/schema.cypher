// name: constraint
// Makes `id` the unique key of a label. It runs in a transaction of its own, before any load.
// for: CourseContent, ErrorRecord, Interaction, Course, ErrorType, KnowledgePoint, Student, Teacher, Topic, ImportBatch, ImportJob, FindingsPack, Tombstone, Lock
CREATE CONSTRAINT edugraph_{label} IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE
