// name: properties_of_student
// Returns the properties of a student's node.
MATCH (s:Student {id: $id})
RETURN properties(s) AS properties

// name: whole_records_of_student
// Returns all records that a student sent, received, made or tried, the records about the student in courses and
// groups, the days on which the student was active, and the records of persons that name the id.
MATCH (s:Student {id: $id})-[r:SENT|RECEIVED_BY|MADE|TRIED|HAS_RECORD|HAS_MEMBERSHIP|ACTIVE_ON]-(n)
RETURN [each IN labels(n) WHERE each <> 'Record'][0] AS label, type(r) AS role, r.name AS called, properties(n) AS properties
UNION ALL
MATCH (p:PersonId {id: $id})<-[r:OF_PERSON|CLAIMS]-(n)
MATCH (n)-[:OF_PERSON]->(person)
OPTIONAL MATCH (n)-[:CLAIMS]->(other)
WITH n, type(r) AS role, person.id AS person_id, collect(other.id) AS also
RETURN 'PersonRecord' AS label, role, null AS called, n {.*, person_id: person_id, also: also} AS properties
