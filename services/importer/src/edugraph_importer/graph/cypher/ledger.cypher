// name: begin
// Returns the facts that a transaction needs at its beginning: the schema version; the numbers of erased students,
// withdrawn records and reviewed records, which only grow and which the count store answers at once; the number of
// times that ids got other owners, if any did; the outcome of
// the batch or pack if it was written before; and after that whether its job is undone or closed. In this order, a
// transaction that misses a row that was just deleted sees that the job is closed. It is one statement, because each
// statement takes about a millisecond, however small it is.
// for: ImportBatch, FindingsPack
MATCH (s:Schema) WITH min(s.version) AS version, min(s.unfinished_from) AS unfinished_from
RETURN 'schema' AS name, [version, unfinished_from] AS value
UNION ALL
MATCH (t:Tombstone) WITH count(t) AS value RETURN 'erased' AS name, value
UNION ALL
MATCH (w:Withdrawn) WITH count(w) AS value RETURN 'withdrawn' AS name, value
UNION ALL
MATCH (h:ReviewedRecord) WITH count(h) AS value RETURN 'reviewed' AS name, value
UNION ALL
MATCH (l:Lock {id: 'owners'}) RETURN 'owners' AS name, l.changes AS value
UNION ALL
MATCH (b:{label} {id: $id})
RETURN 'outcome' AS name, [b.outcome, {word: b.word, kind: b.kind, courses: b.courses}] AS value
UNION ALL
MATCH (j:ImportJob {id: $job_id})
RETURN 'job' AS name, CASE WHEN j.undone THEN 'undone' WHEN j.closed IS NOT NULL THEN 'closed' ELSE null END AS value

// name: more_removals
// Returns a row if one of the first two numbers of `begin` or the number of owners has grown, or if a record has its first
// review. No count
// is used: in a transaction that wrote a batch, the count store goes through everything that was written, which takes
// longer than skipping the nodes of one label.
MATCH (t:Tombstone) WITH t SKIP $erased LIMIT 1 RETURN t.id AS id
UNION ALL
MATCH (w:Withdrawn) WITH w SKIP $withdrawn LIMIT 1 RETURN w.id AS id
UNION ALL
MATCH (h:ReviewedRecord) WITH h LIMIT $first_reviews RETURN h.id AS id
UNION ALL
MATCH (h:ReviewedRecord) WHERE h.id IN $unreviewed WITH h LIMIT 1 RETURN h.id AS id
UNION ALL
MATCH (l:Lock {id: 'owners'}) WHERE l.changes > $owners RETURN l.id AS id

// name: write_batch_outcome
// Writes the ledger row of a batch. Many batches share the node of the job, so no property is set on an existing
// node.
CREATE (b:ImportBatch {id: $id, job_id: $job_id, batch: $batch, outcome: $outcome, set_aside: $set_aside,
  quoted: $quoted, word: $word_of_change, kind: $kind, courses: $courses})
MERGE (j:ImportJob {id: $job_id})
ON CREATE SET j.accepted = $accepted

// name: batch_outcomes
// Returns all batches of a job in their order.
MATCH (b:ImportBatch) WHERE b.id STARTS WITH $prefix AND b.job_id = $job_id
RETURN b.outcome AS outcome, b.batch AS batch ORDER BY batch

// name: batch_set_aside
// Returns the records of a batch that the graph itself refused.
MATCH (b:ImportBatch {id: $id}) RETURN b.set_aside AS set_aside

// name: written_batches
// Returns the written batches of a job.
MATCH (b:ImportBatch) WHERE b.id STARTS WITH $prefix AND b.job_id = $job_id
RETURN b.batch AS batch

// name: jobs_accepted
// Returns the jobs with these acceptance numbers. A job with a begun undo is included, since some of its records may
// not be undone yet.
MATCH (j:ImportJob) WHERE j.accepted IN $numbers
RETURN j.id AS id, j.accepted AS accepted

// name: mark_undone
// Marks a job as undone. From then on nothing more of it is written.
MERGE (j:ImportJob {id: $id})
SET j.undone = true

// name: undo_progress
// Returns how far the undo of a job is.
MATCH (j:ImportJob {id: $id})
RETURN j.undo_progress AS progress

// name: lock_undo_progress
// Locks the node of a job, and returns how far its undo is.
MATCH (j:ImportJob {id: $id})
SET j.id = $id
RETURN j.undo_progress AS progress

// name: set_undo_progress
// Notes how far the undo of a job is.
MATCH (j:ImportJob {id: $id})
SET j.undo_progress = $progress

// name: write_pack_outcome
// Writes the ledger row of a pack of findings.
CREATE (b:FindingsPack {id: $id, job_id: $job_id, pack: $pack, outcome: $outcome,
  word: $word_of_change, kind: $kind, courses: $courses})

// name: ledger_after
// Returns the next rows of the ledger with their jobs.
// for: FindingsPack, ImportBatch
MATCH (b:{label}) WHERE b.id > $after
RETURN b.id AS id, b.job_id AS job_id ORDER BY id LIMIT $limit

// name: ended_jobs
// Returns since when no other store knows these jobs, and since when they are closed.
UNWIND $ids AS id
MATCH (j:ImportJob {id: id})
RETURN j.id AS id, j.over_since AS over_since, j.closed AS closed

// name: set_over_since
// Notes since when no other store knows these jobs; null removes the note. A job that only had analyses has no node
// yet.
UNWIND $ids AS id
MERGE (j:ImportJob {id: id})
SET j.over_since = $moment

// name: close_jobs
// Marks these jobs as closed: their rows may be deleted, and nothing more of them is written.
UNWIND $ids AS id
MATCH (j:ImportJob {id: id}) WHERE j.closed IS NULL
SET j.closed = $moment

// name: lock_closed_jobs
// Locks the closed jobs among these, and returns their properties, which include the counts of deleted rows.
UNWIND $ids AS id
MATCH (j:ImportJob {id: id}) WHERE j.closed IS NOT NULL
SET j.id = id
RETURN id, properties(j) AS properties

// name: outcomes_of
// Returns the rows among these that still exist, with their outcomes.
// for: FindingsPack, ImportBatch
UNWIND $ids AS id
MATCH (b:{label} {id: id})
RETURN id, b.job_id AS job_id, b.outcome AS outcome

// name: delete_outcomes
// Deletes rows of the ledger.
// for: FindingsPack, ImportBatch
UNWIND $ids AS id
MATCH (b:{label} {id: id})
DELETE b

// name: set_counts
// Stores the counts of deleted rows on the node of the job.
UNWIND $rows AS row
MATCH (j:ImportJob {id: row.id})
SET j += row.counts

// name: note_record_change
// Notes that a transaction changed records, until the change is in the stream of changes.
CREATE (:RecordChange {id: $word_of_change, kind: $kind})

// name: noted_record_changes
// Returns the changes that may not be in the stream yet, in the order of their words.
// The properties of a note that another process deletes meanwhile are null.
MATCH (n:RecordChange)
WITH n.id AS word, n.kind AS kind
WHERE word IS NOT NULL AND kind IS NOT NULL
RETURN word, kind ORDER BY word LIMIT $limit
