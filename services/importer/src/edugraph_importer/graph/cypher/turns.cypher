// name: take_turn
// Serves an engine that cannot lock nodes: of two transactions side by side, the later to commit starts again.
MERGE (l:Lock {id: 'turn'})
SET l.turn = coalesce(l.turn, 0) + 1
