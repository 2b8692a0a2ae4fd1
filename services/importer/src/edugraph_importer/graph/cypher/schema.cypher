// name: constraint
// Makes `id` the unique key of a label. It runs in a transaction of its own, before any load.
// for: CourseContent, ErrorRecord, Interaction, Course, ErrorType, KnowledgePoint, Student, Teacher, Topic, ImportBatch, ImportJob, FindingsPack, Tombstone, Lock, Schema
CREATE CONSTRAINT edugraph_{label} IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE

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
