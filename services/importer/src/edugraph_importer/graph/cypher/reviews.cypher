// name: create_reviews
// Creates reviews. A review that comes again is stored once.
UNWIND $rows AS row
MERGE (v:Review {id: row.id})
ON CREATE SET v += row.p

// name: judge
// Sets the verdict about a pair if it is later than the stored one. Returns the pairs whose verdict changed, and
// whether they had none before.
// for: ErrorType, KnowledgePoint, Misconception, Topic
UNWIND $rows AS row
MATCH (a:{label} {id: row.from})
MATCH (b:{label} {id: row.to})
MERGE (a)-[r:JUDGED]->(b)
WITH row, r, r.stamp IS NULL AS is_new WHERE is_new OR r.stamp < row.stamp
SET r.same = row.same, r.stamp = row.stamp
RETURN row.from AS from, row.to AS to, is_new

// name: judge_needs
// Sets the verdict about a prerequisite if it is later than the stored one.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
MERGE (a)-[r:JUDGED_NEED]->(b)
WITH row, r WHERE r.stamp IS NULL OR r.stamp < row.stamp
SET r.accepted = row.accepted, r.stamp = row.stamp

// name: lock_reviewed
// Locks the nodes ReviewedRecord of these records, and reads them.
UNWIND $ids AS id
MATCH (h:ReviewedRecord {id: id})
SET h.id = id
RETURN h.id AS id, h.verdicts AS verdicts, h.missing_since AS missing_since

// name: hold_reviewed
// The same as `lock_reviewed`, and creates missing nodes.
UNWIND $ids AS id
MERGE (h:ReviewedRecord {id: id})
SET h.id = id
RETURN h.id AS id, h.verdicts AS verdicts

// name: set_reviewed
// Sets the last verdicts about a record, and links its reviews. If the record is missing, its waiting time begins
// again.
UNWIND $rows AS row
MATCH (h:ReviewedRecord {id: row.id})
SET h.verdicts = row.verdicts, h.missing_since = null
WITH h, row
UNWIND row.reviews AS review
MATCH (v:Review {id: review})
MERGE (v)-[:REVIEWS]->(h)

// name: reviewed_records
// Returns all properties of these records.
// for: Attempt, CourseContent, ErrorRecord, Interaction
UNWIND $ids AS id
MATCH (n:{label} {id: id})
RETURN id, properties(n) AS properties

// name: reviewed_after
// Returns the next reviewed records, and since when they are known to be missing.
MATCH (h:ReviewedRecord) WHERE h.id > $after
RETURN h.id AS id, h.missing_since AS missing_since ORDER BY id LIMIT $limit

// name: set_missing_since
// Notes since when reviewed records are missing; null for records that exist.
UNWIND $ids AS id
MATCH (h:ReviewedRecord {id: id})
SET h.missing_since = $since

// name: delete_reviews
// Deletes all reviews of these records.
UNWIND $ids AS id
MATCH (h:ReviewedRecord {id: id})
OPTIONAL MATCH (h)<-[:REVIEWS]-(v)
DETACH DELETE h, v

// name: reviews_of_student
// Returns the reviews of a student's records.
MATCH (s:Student {id: $id})-[:SENT|RECEIVED_BY|MADE|TRIED]-(n)
MATCH (h:ReviewedRecord {id: n.id})
MATCH (h)<-[:REVIEWS]-(v)
RETURN DISTINCT properties(v) AS properties
