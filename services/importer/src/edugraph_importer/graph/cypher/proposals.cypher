// name: lock_comparison
// Locks what is known of the comparison of names: how many points there were at the last one and when that was, until
// when one is asked for, and of how many points which encoder told.
MERGE (l:Lock {id: 'proposals'})
SET l.id = 'proposals'
RETURN l.points AS points, l.at AS at, l.asked_until AS asked_until

// name: last_comparison
// Returns how many points there were when names were compared last.
MATCH (l:Lock {id: 'proposals'})
RETURN l.points AS points

// name: count_points
// Returns how many points there are, of which the server keeps count.
MATCH (k:KnowledgePoint)
RETURN count(k) AS points

// name: ask_for_comparison
// Notes until when nobody else needs to ask.
MATCH (l:Lock {id: 'proposals'})
SET l.asked_until = $until

// name: note_comparison
// Notes that names were sent to be compared.
MATCH (l:Lock {id: 'proposals'})
SET l.points = $points, l.at = $at, l.asked_until = null

// name: note_proposals
// Notes which encoder told of how many points; none is null.
MATCH (l:Lock {id: 'proposals'})
SET l.encoder = $encoder, l.compared = $compared

// name: points_to_compare
// Returns the points that stand for all that mean the same, with their names; none that only records of restricted
// students name.
MATCH (k:KnowledgePoint)
WHERE k.canonical = k.id AND (
  EXISTS { MATCH (k)<-[:CONTAINS|TESTS|DEFINES|DESCRIBES]-() }
  OR EXISTS { MATCH (k)-[:CALLED]-() }
  OR EXISTS { MATCH (k)<-[:CONCERNS]-()<-[:MADE|TRIED]-(s) WHERE s.restricted IS NULL }
)
RETURN k.id AS id, coalesce(k.name, k.id) AS name ORDER BY id LIMIT $limit

// name: stored_proposals
// Returns what is proposed, and which of it was decided.
MATCH (a:KnowledgePoint)-[r:PROPOSED_SAME]->(b)
OPTIONAL MATCH (a)-[j:JUDGED]-(b)
RETURN a.id AS from, b.id AS to, r.likeness AS likeness, r.encoder AS encoder, j.same IS NOT NULL AS decided

// name: decided_elsewhere
// Returns those of these pairs of which somebody said something by other names of the two.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
MATCH (x:KnowledgePoint {canonical: a.canonical})-[j:JUDGED]-(y)
USING INDEX SEEK x:KnowledgePoint(canonical)
WHERE y.canonical = b.canonical AND j.same IS NOT NULL
RETURN DISTINCT row.from AS from, row.to AS to

// name: remove_proposals
// Removes what is proposed no more. remove_prerequisites says why both ends are found before.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
WITH DISTINCT a, b
MATCH (a)-[r:PROPOSED_SAME]->(b)
DELETE r

// name: propose
// Proposes that two points mean the same, if they are still there and were not merged meanwhile.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
WITH row, a, b WHERE a.canonical <> b.canonical
MERGE (a)-[r:PROPOSED_SAME]->(b)
SET r.likeness = row.likeness, r.encoder = row.encoder
