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

// name: judge_needs
// Takes the last verdict about a prerequisite.
UNWIND $rows AS row
MATCH (a:KnowledgePoint {id: row.from})
MATCH (b:KnowledgePoint {id: row.to})
MERGE (a)-[r:JUDGED_NEED]->(b)
WITH row, r WHERE r.stamp IS NULL OR r.stamp < row.stamp
SET r.accepted = row.accepted, r.stamp = row.stamp

// name: lock_reviewed
// Locks what is kept of reviews by their records, and reads it.
UNWIND $ids AS id
MATCH (h:ReviewedRecord {id: id})
SET h.id = id
RETURN h.id AS id, h.verdicts AS verdicts, h.missing_since AS missing_since

// name: hold_reviewed
// The same, and creates what is missing.
UNWIND $ids AS id
MERGE (h:ReviewedRecord {id: id})
SET h.id = id
RETURN h.id AS id, h.verdicts AS verdicts

// name: set_reviewed
// Sets the last verdicts about a record, and links its reviews. A record that is missing has its whole time again.
UNWIND $rows AS row
MATCH (h:ReviewedRecord {id: row.id})
SET h.verdicts = row.verdicts, h.missing_since = null
WITH h, row
UNWIND row.reviews AS review
MATCH (v:Review {id: review})
MERGE (v)-[:REVIEWS]->(h)

// name: reviewed_records
// Returns all that these records say.
// for: Attempt, CourseContent, ErrorRecord, Interaction
UNWIND $ids AS id
MATCH (n:{label} {id: id})
RETURN id, properties(n) AS properties

// name: reviewed_after
// Returns the next records that were reviewed, and since when they are known to be missing.
MATCH (h:ReviewedRecord) WHERE h.id > $after
RETURN h.id AS id, h.missing_since AS missing_since ORDER BY id LIMIT $limit

// name: set_missing_since
// Notes since when records that were reviewed are missing; null for those that are there.
UNWIND $ids AS id
MATCH (h:ReviewedRecord {id: id})
SET h.missing_since = $since

// name: delete_reviews
// Deletes all that was said of these records.
UNWIND $ids AS id
MATCH (h:ReviewedRecord {id: id})
OPTIONAL MATCH (h)<-[:REVIEWS]-(v)
DETACH DELETE h, v

// name: reviews_of_student
// Returns what reviewers said of a student's records.
MATCH (s:Student {id: $id})-[:SENT|RECEIVED_BY|MADE|TRIED]-(n)
MATCH (h:ReviewedRecord {id: n.id})
MATCH (h)<-[:REVIEWS]-(v)
RETURN DISTINCT properties(v) AS properties
