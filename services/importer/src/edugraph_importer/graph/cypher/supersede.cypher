// name: links_of
// Returns the relationships of these records, and the nodes at their ends.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership
UNWIND $ids AS id
MATCH (n:{label} {id: id})-[r]-(m)
RETURN n.id AS record, n.timestamp AS timestamp, n.interaction_type AS interaction_type,
  type(r) AS type, labels(m)[0] AS label, m.id AS end, r.stated_as AS stated, r.found_as AS found,
  r.strength AS strength, r.confidence AS confidence

// name: item_names
// Returns the names that these records give to their items, and the knowledge points that the items test.
// for: Attempt, Definition
UNWIND $ids AS id
MATCH (n:{label} {id: id})-[:OF_ITEM|DEFINES]->(i:Item)
RETURN i.id AS item, n.item_title AS title, n.knowledge_points AS points

// name: recompute_practised
// Returns the attempts of students at some items. An attempt without an outcome is not a try.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})-[:TRIED]->(n:Attempt)-[:OF_ITEM]->(i) WHERE i.id IN row.items AND n.outcome IS NOT NULL
RETURN row.student AS student, i.id AS item, n.id AS record, n.timestamp AS timestamp, n.attempt_number AS number,
  n.outcome AS outcome

// name: remove_practised
// Removes totals that are recomputed, or whose attempts were removed.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})-[r:PRACTISED]->(i) WHERE i.id IN row.items
DELETE r

// name: tested_spellings
// Returns the number of records by spelling of a knowledge point, over all items that test it.
UNWIND $ids AS id
MATCH (k:KnowledgePoint {id: id})<-[r:TESTS|NOT_TESTS]-(i)
RETURN id, r.spellings AS spellings, r.spelling_counts AS spelling_counts

// name: definitions_of_Item
// Returns all definitions of an item.
UNWIND $ids AS id
MATCH (i:Item {id: id})<-[:DEFINES]-(n:Definition)
RETURN id, n.id AS record, n.timestamp AS timestamp, properties(n) AS properties

// name: definitions_of_Term
// Returns all definitions of a term.
UNWIND $ids AS id
MATCH (t:Term {id: id})<-[:DEFINES]-(n:Definition)
RETURN id, n.id AS record, n.timestamp AS timestamp, properties(n) AS properties

// name: definitions_of_KnowledgePoint
// Returns all definitions of a knowledge point.
UNWIND $ids AS id
MATCH (k:KnowledgePoint {id: id})<-[:DEFINES]-(n:Definition)
RETURN id, n.id AS record, n.timestamp AS timestamp, properties(n) AS properties

// name: recompute_chat_with
// Returns the total of one student's chats with another.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[:SENT]->(n:Interaction {interaction_type: 'chat'})-[:RECEIVED_BY]->(b) WHERE b.id = row.to
RETURN row.from AS from, row.to AS to, sum(n.message_count) AS count, max(n.timestamp) AS last

// name: remove_chat_with
// Removes totals that are recomputed, or whose chats were removed.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[r:CHAT_WITH]->(b) WHERE b.id = row.to
DELETE r

// name: create_chat_with
// Creates the total of one student's chats with another.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})
MATCH (b:Student {id: row.to})
CREATE (a)-[:CHAT_WITH {message_count: row.count, last_interaction_date: row.last}]->(b)

// name: recompute_likes
// Returns the total of the likes that one student gave another.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[:SENT]->(n:Interaction {interaction_type: 'like'})-[:RECEIVED_BY]->(b) WHERE b.id = row.to
RETURN row.from AS from, row.to AS to, sum(n.like_count) AS count, max(n.timestamp) AS last

// name: remove_likes
// Removes totals that are recomputed, or whose likes were removed.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})-[r:LIKES]->(b) WHERE b.id = row.to
DELETE r

// name: create_likes
// Creates the total of one student's likes for another.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})
MATCH (b:Student {id: row.to})
CREATE (a)-[:LIKES {like_count: row.count, last_like_date: row.last}]->(b)

// name: recompute_teaches
// Returns the single interactions of a teacher and a student.
UNWIND $rows AS row
MATCH (b:Student {id: row.to})<-[:RECEIVED_BY]-(n:Interaction {record_type: 'teacher_interaction'})<-[:SENT]-(a) WHERE a.id = row.from
RETURN row.from AS from, row.to AS to, n.id AS record, n.timestamp AS timestamp,
  n.interaction_count AS count, n.feedback AS feedback

// name: remove_teaches
// Removes totals that are recomputed, or whose interactions were removed.
UNWIND $rows AS row
MATCH (b:Student {id: row.to})<-[r:TEACHES]-(a) WHERE a.id = row.from
DELETE r

// name: create_teaches
// Creates the total of a teacher's interactions with a student.
UNWIND $rows AS row
MATCH (a:Teacher {id: row.from})
MATCH (b:Student {id: row.to})
CREATE (b)<-[r:TEACHES]-(a)
SET r.interaction_count = row.count, r.last_interaction_date = row.last, r.feedback = row.feedback, r.stamp = row.stamp
