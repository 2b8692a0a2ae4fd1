// name: note_claim_change
// Notes that a transaction changed claimed prerequisites. Each note is a separate node, so that no transaction waits for
// another one.
CREATE (:ClaimChange {id: randomUUID(), job_id: $job_id})

// name: note_change_of_id_claims
// Notes that a transaction changed claims to ids of persons.
CREATE (:ClaimChange {id: randomUUID(), job_id: $job_id, about: 'persons'})

// name: claim_changes
// Returns the changes of claimed prerequisites that are not settled yet.
MATCH (c:ClaimChange) WHERE c.about IS NULL RETURN c.id AS id

// name: id_claims_to_settle
// Returns the changes of claims to ids of persons that are not settled yet.
MATCH (c:ClaimChange) WHERE c.about = 'persons' RETURN c.id AS id

// name: jobs_with_changed_claims
// Returns the jobs that changed claims of either kind since they were settled.
MATCH (c:ClaimChange) RETURN DISTINCT c.job_id AS job_id

// name: delete_claim_changes
// Deletes the notes of changes that are settled.
UNWIND $ids AS id
MATCH (c:ClaimChange {id: id})
DELETE c

// name: begin_settling
// Returns the number of a new settler. The node is locked before its number is read.
MERGE (n:Lock {id: 'prerequisites'})
SET n.id = 'prerequisites'
WITH n
SET n.epoch = coalesce(n.epoch, 0) + 1
RETURN n.epoch AS epoch

// name: hold_settling
// Keeps other settlers away until the transaction ends, and returns the number of the latest one.
MERGE (n:Lock {id: 'prerequisites'})
SET n.id = 'prerequisites'
WITH n
RETURN n.epoch AS epoch

// name: lock_points
// Locks points in the given order. A point that was deleted is not created again.
UNWIND $ids AS id
MATCH (n:KnowledgePoint {id: id})
SET n.id = id

// name: all_claims
// Returns all prerequisites that texts and definitions claim. `text` is the id of a text, and null for a definition.
// `quotes` has the words of the text that say each of them, or an empty quote.
MATCH (k:KnowledgePoint)<-[d:DESCRIBES]-(n:CourseContent)
WHERE d.requires IS NOT NULL
RETURN k.id AS id, d.requires AS requires, d.requires_confidence AS confidence,
  d.requires_quotes AS quotes, n.id AS text
UNION ALL
MATCH (n:Definition)-[:REQUIRES]->(r:KnowledgePoint)
MATCH (n)-[:DEFINES]->(k)
RETURN k.id AS id, [r.id] AS requires, [1.0] AS confidence, null AS quotes, null AS text

// name: merged_points
// Returns the points for which another point stands, because both mean the same.
MATCH (k:KnowledgePoint) WHERE k.canonical <> k.id
RETURN k.id AS id, k.canonical AS canonical

// name: contents_of_texts
// Returns the contents of these texts.
UNWIND $ids AS id
MATCH (n:CourseContent {id: id})
RETURN n.id AS id, n.content AS content

// name: points_with_claims
// Returns one of these points that a text or a definition names, or about which a reviewer decided, if there is one.
UNWIND $ids AS id
MATCH (k:KnowledgePoint {id: id})
WHERE EXISTS { MATCH (k)<-[:DESCRIBES|REQUIRES]-() }
  OR EXISTS { MATCH (k)-[:JUDGED_NEED]-() }
  OR EXISTS { MATCH (k)<-[:DEFINES]-(n) MATCH (n)-[:REQUIRES]->() }
RETURN id LIMIT 1

// name: judged_needs
// Returns the last verdicts about prerequisites, without the withdrawn ones.
MATCH (a:KnowledgePoint)-[r:JUDGED_NEED]->(b:KnowledgePoint)
WHERE r.accepted IS NOT NULL
RETURN a.id AS from, b.id AS to, r.accepted AS accepted, r.stamp AS stamp

// name: prerequisites
// Returns all claimed prerequisites: those that are followed, and those that are not, with the reason.
MATCH (a:KnowledgePoint)-[r:DEPENDS_ON]->(b:KnowledgePoint)
RETURN collect([a.id, b.id, r.confidence, null]) AS claims
UNION ALL
MATCH (a:KnowledgePoint)-[r:SET_ASIDE]->(b:KnowledgePoint)
RETURN collect([a.id, b.id, r.confidence, coalesce(r.reason, '')]) AS claims

// name: remove_prerequisites
// Removes edges that changed or are no longer claimed. Each end may have many other edges. If both ends are found
// first, the server starts from the end with fewer edges.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
WITH DISTINCT a, b
MATCH (a)-[r:DEPENDS_ON|SET_ASIDE]->(b)
DELETE r

// name: create_depends_on
// Creates a prerequisite that is followed.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
CREATE (a)-[:DEPENDS_ON {confidence: row.confidence}]->(b)

// name: create_set_aside
// Creates a prerequisite that would close a cycle, was rejected, or is said by too few. It is stored so that people see
// it, and is never followed.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
CREATE (a)-[:SET_ASIDE {confidence: row.confidence, reason: row.reason}]->(b)
