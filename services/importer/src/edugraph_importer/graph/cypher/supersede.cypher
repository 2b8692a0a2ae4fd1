// name: links_of
// Returns the relationships of these records, and the nodes at their ends.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, PersonRecord
UNWIND $ids AS id
MATCH (n:{label} {id: id})-[r]-(m)
RETURN n.id AS record, n.interaction_type AS interaction_type,
  type(r) AS type, labels(m)[0] AS label, m.id AS end, r.stated_as AS stated, r.found_as AS found,
  r.strength AS strength, r.confidence AS confidence

// name: item_names
// Returns the names that these records give to their items, and the knowledge points that the items test.
// for: Attempt, Definition
UNWIND $ids AS id
MATCH (n:{label} {id: id})-[:OF_ITEM|DEFINES]->(i:Item)
RETURN i.id AS item, n.item_title AS title, n.knowledge_points AS points

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
