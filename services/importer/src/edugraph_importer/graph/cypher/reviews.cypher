// name: create_reviews
// Keeps reviews. One that came before is kept once.
UNWIND $rows AS row
MERGE (v:Review {id: row.id})
ON CREATE SET v += row.p

// name: judge
// Takes the last verdict about a pair, and returns which pairs had none before.
// for: ErrorType, KnowledgePoint, Topic
UNWIND $rows AS row
MATCH (a:{label} {id: row.from})
MATCH (b:{label} {id: row.to})
MERGE (a)-[r:JUDGED]->(b)
WITH row, r, r.stamp IS NULL AS is_new WHERE is_new OR r.stamp < row.stamp
SET r.same = row.same, r.stamp = row.stamp
RETURN row.from AS from, row.to AS to, is_new
