// name: lock_comparison
// Locks the state of comparisons and returns it: the number of points at the last comparison, its time, and until
// when a requested comparison is awaited.
MERGE (l:Lock {id: 'proposals'})
SET l.id = 'proposals'
RETURN l.points AS points, l.at AS at, l.asked_until AS asked_until

// name: last_comparison
// Returns the number of points at the last comparison of names.
MATCH (l:Lock {id: 'proposals'})
RETURN l.points AS points

// name: count_points
// Returns the number of points. The server keeps this count.
MATCH (k:KnowledgePoint)
RETURN count(k) AS points

// name: ask_for_comparison
// Notes until when no other caller needs to request a comparison.
MATCH (l:Lock {id: 'proposals'})
SET l.asked_until = $until

// name: note_comparison
// Notes that names were sent for comparison.
MATCH (l:Lock {id: 'proposals'})
SET l.points = $points, l.at = $at, l.asked_until = null

// name: note_proposals
// Notes the encoder and the number of points that it compared. The encoder is null if there is none.
MATCH (l:Lock {id: 'proposals'})
SET l.encoder = $encoder, l.compared = $compared

// name: points_to_compare
// Returns the canonical points with their names, and what a curriculum says of them. A point is left out if only records of restricted students name it.
MATCH (k:KnowledgePoint)
WHERE k.canonical = k.id AND (
  EXISTS { MATCH (k)<-[:CONTAINS|TESTS|DEFINES|DESCRIBES]-() }
  OR EXISTS { MATCH (k)-[:CALLED]-() }
  OR EXISTS { MATCH (k)<-[:CONCERNS]-()<-[:MADE|TRIED]-(s) WHERE s.restricted IS NULL }
)
RETURN k.id AS id, coalesce(k.name, k.id) AS name, k.label AS label, trim(k.statement) AS statement
ORDER BY id LIMIT $limit

// name: stored_proposals
// Returns all proposals, and whether each was decided.
MATCH (a:KnowledgePoint)-[r:PROPOSED_SAME]->(b)
OPTIONAL MATCH (a)-[j:JUDGED]-(b)
RETURN a.id AS from, b.id AS to, r.likeness AS likeness, r.encoder AS encoder, j.same IS NOT NULL AS decided

// name: decided_elsewhere
// Returns the pairs among these that somebody decided for other names of the same two points.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
MATCH (x:KnowledgePoint {canonical: a.canonical})-[j:JUDGED]-(y)
USING INDEX SEEK x:KnowledgePoint(canonical)
WHERE y.canonical = b.canonical AND j.same IS NOT NULL
RETURN DISTINCT row.from AS from, row.to AS to

// name: remove_proposals
// Removes pairs that are no longer proposed. `remove_prerequisites` says why both ends are found first.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
WITH DISTINCT a, b
MATCH (a)-[r:PROPOSED_SAME]->(b)
DELETE r

// name: propose
// Proposes that two points mean the same, if both still exist and were not merged meanwhile.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
WITH row, a, b WHERE a.canonical <> b.canonical
MERGE (a)-[r:PROPOSED_SAME]->(b)
SET r.likeness = row.likeness, r.encoder = row.encoder
