// name: count_called
// Adds to the numbers of records that call an id by a name; negative numbers subtract. Returns the pairs that are
// new, or that no record states any more.
// for: ErrorType, KnowledgePoint, Misconception, Topic
UNWIND $rows AS row
MATCH (a:{label} {id: row.from})
MATCH (b:{label} {id: row.to})
MERGE (a)-[r:CALLED]->(b)
ON CREATE SET r.records = row.records
ON MATCH SET r.records = r.records + row.records
WITH row, r WHERE r.records = row.records OR r.records <= 0
RETURN row.from AS from, row.to AS to, r.records AS records

// name: remove_called
// Removes relationships that no record states any more.
// for: ErrorType, KnowledgePoint, Misconception, Topic
UNWIND $rows AS row
MATCH (a:{label} {id: row.from})-[r:CALLED]->(b) WHERE b.id = row.to
DELETE r

// name: set_called
// Sets the number of records that call an id by a name.
// for: ErrorType, KnowledgePoint, Misconception, Topic
UNWIND $rows AS row
MATCH (a:{label} {id: row.from})
MATCH (b:{label} {id: row.to})
MERGE (a)-[r:CALLED]->(b)
SET r.records = row.records

// name: claimers
// Returns the other ids that are called by these names.
// for: ErrorType, KnowledgePoint, Misconception, Topic
UNWIND $ids AS id
MATCH (n:{label} {id: id})<-[:CALLED]-(m) WHERE m.id <> id
RETURN id, m.id AS claimer

// name: named_and_judged
// Returns the names of these ids, and the reviewed pairs with these ids.
// for: ErrorType, KnowledgePoint, Misconception, Topic
UNWIND $ids AS id
MATCH (n:{label} {id: id})-[r:CALLED]->(m) WHERE m.id <> id
RETURN id, m.id AS other, null AS same, null AS stamp
UNION ALL
UNWIND $ids AS id
MATCH (n:{label} {id: id})-[r:JUDGED]-(m)
RETURN id, m.id AS other, r.same AS same, r.stamp AS stamp

// name: set_skipped
// Marks verdicts of sameness that are skipped, because another verdict keeps the two nodes apart.
// for: ErrorType, KnowledgePoint, Misconception, Topic
UNWIND $rows AS row
MATCH (a:{label} {id: row.from})-[r:JUDGED]->(b) WHERE b.id = row.to
SET r.skipped = row.skipped

// name: all_ids
// Returns all ids and names.
// for: ErrorType, KnowledgePoint, Misconception, Topic
MATCH (n:{label})
RETURN n.id AS id ORDER BY id

// name: all_called
// Returns the stored numbers of records that call an id by a name.
// for: ErrorType, KnowledgePoint, Misconception, Topic
MATCH (a:{label})-[r:CALLED]->(b)
RETURN a.id AS from, b.id AS to, r.records AS records

// name: all_judged
// Returns all reviewed pairs.
// for: ErrorType, KnowledgePoint, Misconception, Topic
MATCH (a:{label})-[r:JUDGED]->(b)
RETURN a.id AS from, b.id AS to, r.same AS same, r.stamp AS stamp, r.skipped AS skipped

// name: called_of
// Returns the stored numbers of records that call these ids by a name.
// for: ErrorType, KnowledgePoint
UNWIND $ids AS id
MATCH (t:{label} {id: id})-[r:CALLED]->(n)
RETURN id AS from, n.id AS to, r.records AS records

// name: stated_called
// Returns the spellings that records state for these types and points, with the numbers of records.
// for: ErrorType, KnowledgePoint
UNWIND $ids AS id
MATCH (t:{label} {id: id})<-[r:OF_TYPE|DEFINES]-(n) WHERE r.stated_as IS NOT NULL
RETURN id, r.stated_as AS stated, count(*) AS records

// name: canonical_index
// Creates the index that finds all members of a class by their canonical node. This needs a transaction of its own.
// for: ErrorType, KnowledgePoint, Misconception, Topic
CREATE INDEX edugraph_canonical_{label} IF NOT EXISTS FOR (n:{label}) ON (n.canonical)
