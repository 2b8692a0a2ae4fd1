// name: take_turn
// Serves an engine that cannot lock nodes. If two transactions run at the same time, the one that commits later
// starts again.
MERGE (l:Lock {id: 'turn'})
SET l.turn = coalesce(l.turn, 0) + 1
