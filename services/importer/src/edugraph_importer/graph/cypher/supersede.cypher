// name: links_of
// What these records are linked to, and how.
// for: CourseContent, ErrorRecord, Interaction
UNWIND $ids AS id
MATCH (n:{label} {id: id})-[r]-(m)
RETURN n.id AS record, n.timestamp AS timestamp, n.interaction_type AS interaction_type,
  type(r) AS type, labels(m)[0] AS label, m.id AS end

// name: recount_chat_with
// The chats of a student with another.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[:SENT]->(n:Interaction {interaction_type: 'chat'})-[:RECEIVED_BY]->(b) WHERE b.id = row.to
RETURN row.from AS from, row.to AS to, sum(n.message_count) AS count, max(n.timestamp) AS last

// name: remove_chat_with
// Pairs whose chats are counted anew, or are no more.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[r:CHAT_WITH]->(b) WHERE b.id = row.to
DELETE r

// name: create_chat_with
// What a student's chats with another come to.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})
MATCH (b:Student {id: row.to})
CREATE (a)-[:CHAT_WITH {message_count: row.count, last_interaction_date: row.last}]->(b)

// name: recount_likes
// The likes that a student gave another.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[:SENT]->(n:Interaction {interaction_type: 'like'})-[:RECEIVED_BY]->(b) WHERE b.id = row.to
RETURN row.from AS from, row.to AS to, sum(n.like_count) AS count, max(n.timestamp) AS last

// name: remove_likes
// Pairs whose likes are counted anew, or are no more.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[r:LIKES]->(b) WHERE b.id = row.to
DELETE r

// name: create_likes
// What a student's likes for another come to.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})
MATCH (b:Student {id: row.to})
CREATE (a)-[:LIKES {like_count: row.count, last_like_date: row.last}]->(b)

// name: recount_teaches
// What a teacher and a student said.
UNWIND $rows AS row
MATCH (b:Student {id: row.to})<-[:RECEIVED_BY]-(n:Interaction {record_type: 'teacher_interaction'})<-[:SENT]-(a) WHERE a.id = row.from
RETURN row.from AS from, row.to AS to, n.id AS record, n.timestamp AS timestamp,
  n.interaction_count AS count, n.feedback AS feedback

// name: remove_teaches
// Pairs whose interactions are counted anew, or are no more.
UNWIND $rows AS row
MATCH (b:Student {id: row.to})<-[r:TEACHES]-(a) WHERE a.id = row.from
DELETE r

// name: create_teaches
// What a teacher's interactions with a student come to.
UNWIND $rows AS row
MATCH (a:Teacher {id: row.from})
MATCH (b:Student {id: row.to})
CREATE (b)<-[r:TEACHES]-(a)
SET r.interaction_count = row.count, r.last_interaction_date = row.last, r.feedback = row.feedback, r.stamp = row.stamp
