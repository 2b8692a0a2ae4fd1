// name: batch_outcome
// Returns the outcome of a batch that was written before.
MATCH (b:ImportBatch {id: $id}) RETURN b.outcome AS outcome

// name: write_batch_outcome
// Writes the ledger row of a batch. Many batches share the node of the job, so nothing is set on it.
CREATE (b:ImportBatch {id: $id, job_id: $job_id, batch: $batch, outcome: $outcome, set_aside: $set_aside})
MERGE (j:ImportJob {id: $job_id})

// name: batch_outcomes
// Returns all batches of a job, in their order.
MATCH (b:ImportBatch) WHERE b.id STARTS WITH $prefix AND b.job_id = $job_id
RETURN b.outcome AS outcome, b.batch AS batch ORDER BY batch

// name: batch_set_aside
// Returns the records of a batch that the graph itself refused.
MATCH (b:ImportBatch {id: $id}) RETURN b.set_aside AS set_aside

// name: pack_outcome
// Returns the outcome of a pack of findings that was written before.
MATCH (b:FindingsPack {id: $id}) RETURN b.outcome AS outcome

// name: write_pack_outcome
// Writes the ledger row of a pack of findings.
CREATE (b:FindingsPack {id: $id, job_id: $job_id, pack: $pack, outcome: $outcome})
