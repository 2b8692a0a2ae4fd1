// name: records_of_student
// Returns all records that a student sent, received, made or tried, and the records about the student in courses and
// groups, and all records of persons that name the id.
MATCH (s:Student {id: $id})-[:SENT|RECEIVED_BY|MADE|TRIED|HAS_RECORD|HAS_MEMBERSHIP]-(n)
RETURN DISTINCT [each IN labels(n) WHERE each <> 'Record'][0] AS label, n.id AS record, n.timestamp AS timestamp
UNION ALL
MATCH (p:PersonId {id: $id})<-[:OF_PERSON|CLAIMS|DECIDES]-(n)
RETURN 'PersonRecord' AS label, n.id AS record, n.timestamp AS timestamp

// name: relationships_of_student
// Returns a student's relationships to other nodes than records. Relationships to records are counted elsewhere.
MATCH (s:Student {id: $id})-[r]-(m)
WHERE NOT type(r) IN ['SENT', 'RECEIVED_BY', 'MADE', 'TRIED', 'HAS_RECORD', 'HAS_MEMBERSHIP', 'ACTIVE_ON']
RETURN type(r) AS type, labels(m)[0] AS label, m.id AS id, properties(r) AS properties

// name: delete_records
// Deletes records with all their relationships. Their students, who must be locked, get the word, since nothing else is
// left of the records.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, PersonRecord
UNWIND $ids AS id
MATCH (n:{label} {id: id})
OPTIONAL MATCH (n)--(s:Student)
WITH n, collect(s) AS students
FOREACH (student IN students | SET student.changed = $word)
DETACH DELETE n

// name: delete_replaced
// Deletes versions of records whose next version is written in the same transaction, with the word and in the same place,
// and nodes that only held a key.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, PersonRecord
UNWIND $ids AS id
MATCH (n:{label} {id: id})
DETACH DELETE n

// name: delete_student
// Deletes a student with all remaining relationships.
MATCH (s:Student {id: $id})
DETACH DELETE s

// name: create_tombstone
// Stores the hash of an id, so that a repeated message does not bring the student back.
MERGE (t:Tombstone {id: $id})

// name: date_tombstone
// Stores when the erasure began, in seconds since 1970.
MATCH (t:Tombstone {id: $id})
SET t.at = $at

// name: join_tombstones
// Gives a tombstone, and all others that it was joined with before, the text that the tombstones of one person share.
MATCH (t:Tombstone {id: $id})
OPTIONAL MATCH (o:Tombstone) WHERE o.person = t.person
SET o.person = $person
SET t.person = $person

// name: tie_tombstones
// Stores the hashes of ids that a list ties to an erased person. They share the text of the person.
UNWIND $rows AS row
MATCH (t:Tombstone {id: row.erased})
MERGE (o:Tombstone {id: row.id})
SET t.person = coalesce(t.person, randomUUID())
SET o.person = t.person

// name: known_ids
// Returns those of these ids with a person in the graph, or with a record of a person's ids.
UNWIND $ids AS id
MATCH (n:Student {id: id}) WHERE EXISTS { (n)--() }
RETURN id
UNION
UNWIND $ids AS id
MATCH (n:Teacher {id: id}) WHERE EXISTS { (n)--() }
RETURN id
UNION
UNWIND $ids AS id
MATCH (n:PersonId {id: id}) WHERE EXISTS { (n)--() }
RETURN id

// name: tombstones_of_persons
// Returns the tombstones that share the text of a person with one of these.
MATCH (t:Tombstone) WHERE t.id IN $ids
MATCH (o:Tombstone) WHERE o.person = t.person
RETURN DISTINCT o.id AS id

// name: names_Student
// Returns the names that all records give to a student. If a student sent a message to themselves, the sender's name
// comes first, as when the record is written.
UNWIND $ids AS id
MATCH (s:Student {id: id})-[r:SENT|RECEIVED_BY|MADE|TRIED|HAS_MEMBERSHIP]-(n)
WHERE r.name IS NOT NULL
RETURN id, n.id AS record, n.timestamp AS timestamp, r.name AS name ORDER BY type(r) DESC

// name: names_Teacher
// Returns the names that all records give to a teacher.
UNWIND $ids AS id
MATCH (t:Teacher {id: id})-[r:SENT|HAS_MEMBERSHIP]->(n)
WHERE r.name IS NOT NULL
RETURN id, n.id AS record, n.timestamp AS timestamp, r.name AS name

// name: latest_of_course
// Returns the latest record that names, describes or rates a course. A separate index finds it and gives the order of
// the rows, because a course may have millions of records.
// for: described, named, rated
MATCH (n)-[r:IN_COURSE]->(c:Course)
USING INDEX SEEK r:IN_COURSE({label})
WHERE r.{label} STARTS WITH $prefix AND c.id = $id
RETURN r.{label} AS key, r.name AS name, properties(n) AS properties ORDER BY r.{label} DESC LIMIT 1

// name: course_records_of_Student
// Returns all course_records about a student.
UNWIND $ids AS id
MATCH (s:Student {id: id})-[:HAS_RECORD]->(n:CourseRecord)
RETURN id, n.id AS record, n.timestamp AS timestamp, properties(n) AS properties

// name: outcomes_with
// Returns batches whose report may quote one of two texts. Each text has its own MATCH: while the index does not
// exist yet, Neo4j ignores a hint with one CONTAINS, but refuses a statement that has a hint with two.
MATCH (b:ImportBatch)
USING TEXT INDEX b:ImportBatch(quoted)
WHERE b.quoted CONTAINS $text
RETURN b.id AS id, b.outcome AS outcome, b.set_aside AS set_aside
UNION
MATCH (b:ImportBatch)
USING TEXT INDEX b:ImportBatch(quoted)
WHERE b.quoted CONTAINS $escaped
RETURN b.id AS id, b.outcome AS outcome, b.set_aside AS set_aside

// name: set_outcomes
// Replaces reports by versions without the quotes.
UNWIND $rows AS row
MATCH (b:ImportBatch {id: row.id})
SET b.outcome = row.outcome, b.set_aside = row.set_aside, b.quoted = row.quoted

// name: known_names
// Returns the names of a student, in the graph and in each record that names the student. The name in a record of a
// person who claims the id is left out: the claim may be wrong, and then it is another person's name.
MATCH (s:Student {id: $id})
OPTIONAL MATCH (s)-[r:SENT|RECEIVED_BY|MADE|TRIED|HAS_MEMBERSHIP]-()
OPTIONAL MATCH (s)-[:HAS_RECORD]->(c:CourseRecord)
RETURN s.name AS name, collect(DISTINCT r.name) AS called, collect(DISTINCT c.student_name) AS stated
UNION ALL
MATCH (p:PersonId {id: $id})
OPTIONAL MATCH (p)<-[:OF_PERSON]-(n:PersonRecord)
RETURN null AS name, [] AS called, collect(DISTINCT n.name) AS stated

// name: any_tombstone
// Returns a row if any student was ever erased.
MATCH (t:Tombstone) RETURN t.id AS id LIMIT 1

// name: last_erasure
// Returns the time of the last erasure in seconds since 1970, or no row. Tombstones of earlier releases have no time.
// The condition is there for the index, which is asked for each batch with rejects.
MATCH (t:Tombstone) WHERE t.at > 0
RETURN t.at AS at ORDER BY t.at DESC LIMIT 1

// name: all_tombstones
// Returns the tombstones of all erased students.
MATCH (t:Tombstone) RETURN t.id AS id

// name: delete_tombstones
// Allows records of erased students to be imported again.
MATCH (t:Tombstone) WHERE t.id IN $ids
DELETE t

// name: texts_after
// Returns the next records with all their properties.
// for: Attempt, CourseContent, Definition, ErrorRecord, Interaction, Membership
MATCH (n:{label}) WHERE n.id > $after
RETURN n.id AS id, properties(n) AS properties ORDER BY id LIMIT $limit
