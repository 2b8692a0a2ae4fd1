// name: stored_versions
// Returns the records with these ids, under any label, with their version keys.
MATCH (n:Attempt) WHERE n.id IN $ids
RETURN 'Attempt' AS label, collect([n.id, [n.record_type, n.timestamp, n.content_hash, n.reading, n.changed_at, n.accepted, n.row, n.history]]) AS versions
UNION ALL
MATCH (n:CourseContent) WHERE n.id IN $ids
RETURN 'CourseContent' AS label, collect([n.id, [n.record_type, n.timestamp, n.content_hash, n.reading, n.changed_at, n.accepted, n.row, n.history]]) AS versions
UNION ALL
MATCH (n:CourseRecord) WHERE n.id IN $ids
RETURN 'CourseRecord' AS label, collect([n.id, [n.record_type, n.timestamp, n.content_hash, n.reading, n.changed_at, n.accepted, n.row, n.history]]) AS versions
UNION ALL
MATCH (n:Definition) WHERE n.id IN $ids
RETURN 'Definition' AS label, collect([n.id, [n.record_type, n.timestamp, n.content_hash, n.reading, n.changed_at, n.accepted, n.row, n.history]]) AS versions
UNION ALL
MATCH (n:ErrorRecord) WHERE n.id IN $ids
RETURN 'ErrorRecord' AS label, collect([n.id, [n.record_type, n.timestamp, n.content_hash, n.reading, n.changed_at, n.accepted, n.row, n.history]]) AS versions
UNION ALL
MATCH (n:Interaction) WHERE n.id IN $ids
RETURN 'Interaction' AS label, collect([n.id, [n.record_type, n.timestamp, n.content_hash, n.reading, n.changed_at, n.accepted, n.row, n.history]]) AS versions
UNION ALL
MATCH (n:Membership) WHERE n.id IN $ids
RETURN 'Membership' AS label, collect([n.id, [n.record_type, n.timestamp, n.content_hash, n.reading, n.changed_at, n.accepted, n.row, n.history]]) AS versions
UNION ALL
MATCH (n:PersonRecord) WHERE n.id IN $ids
RETURN 'PersonRecord' AS label, collect([n.id, [n.record_type, n.timestamp, n.content_hash, n.reading, n.changed_at, n.accepted, n.row, n.history]]) AS versions

// name: tombstones
// Returns the (hashed) students among these that were erased.
MATCH (t:Tombstone) WHERE t.id IN $ids RETURN t.id AS id, t.person AS person

// name: withdrawn
// Returns the versions that these (hashed) ids remember, for the ids that are or were withdrawn.
MATCH (w:Withdrawn) WHERE w.id IN $ids RETURN w.id AS id, w.history AS history

// name: lock_withdrawn
// Creates the missing nodes, locks all of them in the given order, and returns the versions that they remember.
UNWIND $ids AS id
MERGE (w:Withdrawn {id: id})
ON CREATE SET w.history = []
SET w.id = id
RETURN collect([w.id, w.history]) AS withdrawn

// name: set_withdrawn
// Sets the versions that these (hashed) ids remember.
UNWIND $rows AS row
MATCH (w:Withdrawn {id: row.id})
SET w.history = row.history

// name: hold_keys
// Creates placeholders, so that no other transaction can create a record with these ids before this transaction ends.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, PersonRecord
UNWIND $ids AS id
MERGE (n:{label} {id: id})
ON CREATE SET n.held = true
RETURN count(n.held) AS held

// name: set_version
// Sets the version key of a record whose content stays, and the other versions that it remembers.
// for: Attempt, CourseContent, CourseRecord, Definition, ErrorRecord, Interaction, Membership, PersonRecord
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
SET n.reading = row.reading, n.changed_at = datetime(row.changed), n.accepted = row.accepted, n.row = row.row,
  n.history = row.history

// name: lock
// Creates the missing nodes, locks all of them in the given order, and reads them. Setting a property to its present
// value takes the lock and writes nothing. (Setting an absent property to null takes no lock.)
// for: Course, Group, Item, PersonId, Teacher, Term
UNWIND $ids AS id
MERGE (n:{label} {id: id})
SET n.id = id
RETURN collect([id, properties(n)]) AS nodes

// name: lock_Student
// The same as `lock`. A new student has the word as `changed`, because an earlier node with this id may have lost records
// before it was deleted.
UNWIND $ids AS id
MERGE (n:Student {id: id})
ON CREATE SET n.changed = $word_if_new
SET n.id = id
RETURN collect([id, properties(n)]) AS nodes

// name: lock_named
// The same as `lock`, for nodes that may turn out to mean the same as another node. A new node is its own canonical
// node.
// for: ErrorType, KnowledgePoint, Misconception, Topic
UNWIND $ids AS id
MERGE (n:{label} {id: id})
ON CREATE SET n.canonical = id
SET n.id = id
RETURN collect([id, properties(n)]) AS nodes

// name: set
// Sets the properties of changed nodes.
// for: Course, ErrorType, Group, Item, KnowledgePoint, Misconception, Student, Teacher, Term, Topic
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
SET n += row.p

// name: create_chat
// Creates a chat with its sender, receiver and course.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})
MATCH (b:Student {id: row.to})
OPTIONAL MATCH (c:Course {id: row.course})
CREATE (a)-[:SENT {name: row.from_name, given_id: row.from_given}]->(n:Interaction:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  interaction_type: 'chat', text: row.text, message_count: row.count, renamed: row.renamed
})-[:RECEIVED_BY {name: row.to_name, given_id: row.to_given}]->(b)
FOREACH (course IN CASE WHEN c IS NULL THEN [] ELSE [c] END | CREATE (n)-[:IN_COURSE]->(course))

// name: create_like
// Creates a like with its sender, receiver and course.
UNWIND $rows AS row
MATCH (a:Student {id: row.from})
MATCH (b:Student {id: row.to})
OPTIONAL MATCH (c:Course {id: row.course})
CREATE (a)-[:SENT {name: row.from_name, given_id: row.from_given}]->(n:Interaction:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  interaction_type: 'like', text: row.text, like_count: row.count, renamed: row.renamed
})-[:RECEIVED_BY {name: row.to_name, given_id: row.to_given}]->(b)
FOREACH (course IN CASE WHEN c IS NULL THEN [] ELSE [c] END | CREATE (n)-[:IN_COURSE]->(course))

// name: create_post
// Creates a post with its author and course. A post has no receiver, and no total depends on it.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (c:Course {id: row.course})
CREATE (s)-[:SENT {name: row.name, given_id: row.given}]->(n:Interaction:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  thread_id: row.thread, reply_mark: row.reply_mark, title: row.title, text: row.text, renamed: row.renamed
})-[:IN_COURSE]->(c)

// name: create_teacher_interaction
// Creates an interaction of a teacher and a student.
UNWIND $rows AS row
MATCH (a:Teacher {id: row.from})
MATCH (b:Student {id: row.to})
OPTIONAL MATCH (c:Course {id: row.course})
CREATE (a)-[:SENT {name: row.from_name, given_id: row.from_given}]->(n:Interaction:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  subject: row.subject, text: row.text, feedback: row.feedback, interaction_count: row.count, renamed: row.renamed
})-[:RECEIVED_BY {name: row.to_name, given_id: row.to_given}]->(b)
FOREACH (course IN CASE WHEN c IS NULL THEN [] ELSE [c] END | CREATE (n)-[:IN_COURSE]->(course))

// name: create_action
// Creates an action of a teacher about a student. It counts in no total.
UNWIND $rows AS row
MATCH (a:Teacher {id: row.from})
MATCH (b:Student {id: row.to})
MATCH (c:Course {id: row.course})
CREATE (a)-[:SENT {given_id: row.from_given}]->(n:Interaction:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  spoken: row.spoken, text: row.text, not_until: row.not_until, renamed: row.renamed
})-[:RECEIVED_BY {given_id: row.to_given}]->(b)
CREATE (n)-[:IN_COURSE]->(c)

// name: create_error_record
// Creates a mistake with its student, its first course, and its error type if it is given.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (c:Course {id: row.course})
OPTIONAL MATCH (t:ErrorType {id: row.error_type})
CREATE (s)-[:MADE {name: row.name, given_id: row.given}]->(n:ErrorRecord:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  question: row.question, error_text: row.error_text, severity: row.severity,
  occurrence_count: row.count, resolved: row.resolved, renamed: row.renamed
})-[:IN_COURSE {name: row.course_name, named: row.named}]->(c)
FOREACH (type IN CASE WHEN t IS NULL THEN [] ELSE [t] END | CREATE (n)-[:OF_TYPE {stated_as: row.spelled}]->(type))

// name: create_course_record
// Creates a record about a student in a course. `p` has its values except the dates.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (c:Course {id: row.course})
CREATE (s)-[:HAS_RECORD {given_id: row.given}]->(n:CourseRecord:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  enrollment_date: datetime(row.enrolled), completion_date: datetime(row.completed)
})-[:IN_COURSE {named: row.named, described: row.described, rated: row.rated}]->(c)
SET n += row.p

// name: create_course_content
// Creates a text of a course.
UNWIND $rows AS row
MATCH (c:Course {id: row.course})
CREATE (n:CourseContent:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  title: row.title, content: row.content, course_id: row.course
})-[:IN_COURSE {name: row.course_name, named: row.named}]->(c)

// name: create_attempt
// Creates an attempt at an item with its student and its first course (an attempt may have no course). The names of
// knowledge points are stored as given: TESTS counts them.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (i:Item {id: row.item})
OPTIONAL MATCH (c:Course {id: row.course})
CREATE (s)-[:TRIED {name: row.name, given_id: row.given}]->(n:Attempt:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  outcome: row.outcome, correct: row.correct, score: row.score, attempt_number: row.number, question: row.question,
  response: row.response, duration_seconds: row.seconds, item_title: row.title, knowledge_points: row.points,
  max_score: row.max_score, hints: row.hints, late: row.late, renamed: row.renamed
})-[:OF_ITEM]->(i)
FOREACH (course IN CASE WHEN c IS NULL THEN [] ELSE [c] END | CREATE (n)-[:IN_COURSE]->(course))

// name: create_item_definition
// Creates the definition of an item.
UNWIND $rows AS row
MATCH (i:Item {id: row.item})
OPTIONAL MATCH (c:Course {id: row.course})
CREATE (n:Definition:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  title: row.title, question: row.question, knowledge_points: row.points, max_score: row.max_score,
  opens_at: datetime(row.opens), due_at: datetime(row.due)
})-[:DEFINES]->(i)
FOREACH (course IN CASE WHEN c IS NULL THEN [] ELSE [c] END | CREATE (n)-[:IN_COURSE]->(course))

// name: assigned_to
// Links the definition of an item to the course or group whose students are to hand it in, with the dates for them.
// for: Course, Group
UNWIND $rows AS row
MATCH (n:Definition {id: row.id})
MATCH (a:{label} {id: row.assignee})
CREATE (n)-[:ASSIGNED_TO {opens_at: datetime(row.opens), due_at: datetime(row.due)}]->(a)

// name: create_membership
// Creates the membership of a person in a group.
// for: Student, Teacher
UNWIND $rows AS row
MATCH (p:{label} {id: row.person})
MATCH (g:Group {id: row.group})
CREATE (p)-[:HAS_MEMBERSHIP {name: row.name, given_id: row.given}]->(n:Membership:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  starts: datetime(row.starts), ends: datetime(row.ends), term: row.term, leads: row.leads,
  group_name: row.group_name, course_id: row.course
})-[:IN_GROUP]->(g)

// name: create_person_record
// Creates the record of a person's ids.
UNWIND $rows AS row
MATCH (p:PersonId {id: row.person})
CREATE (n:PersonRecord:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  name: row.name
})-[:OF_PERSON]->(p)

// name: claim_id
// Links the record of a person to another id that the person claims.
UNWIND $rows AS row
MATCH (n:PersonRecord {id: row.id})
MATCH (p:PersonId {id: row.claimed})
CREATE (n)-[:CLAIMS]->(p)

// name: decide_id
// Links the record of a person to an id of which an operator decided that it means this person.
UNWIND $rows AS row
MATCH (n:PersonRecord {id: row.id})
MATCH (p:PersonId {id: row.claimed})
CREATE (n)-[:DECIDES]->(p)

// name: create_term_definition
// Creates the definition of a term.
UNWIND $rows AS row
MATCH (t:Term {id: row.term})
CREATE (n:Definition:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  name: row.name, starts: datetime(row.starts), ends: datetime(row.ends), breaks: row.breaks
})-[:DEFINES]->(t)

// name: create_point_definition
// Creates the definition of a knowledge point, with what it says of the point.
UNWIND $rows AS row
MATCH (k:KnowledgePoint {id: row.point})
OPTIONAL MATCH (c:Course {id: row.course})
CREATE (n:Definition:Record {
  id: row.id, content_hash: row.hash, record_type: row.type, timestamp: datetime(row.at), reading: row.reading,
  changed_at: datetime(row.changed), accepted: row.accepted, row: row.row, history: row.history, written: $word,
  name: row.name, names: row.names, label: row.label, description: row.description, parent: row.parent,
  standard_id: row.standard_id
})-[:DEFINES {stated_as: row.spelled, importance: row.importance}]->(k)
FOREACH (course IN CASE WHEN c IS NULL THEN [] ELSE [c] END | CREATE (n)-[:IN_COURSE]->(course))

// name: requires
// Links the definition of a point to a point that it requires.
UNWIND $rows AS row
MATCH (n:Definition {id: row.id})
MATCH (k:KnowledgePoint {id: row.point})
CREATE (n)-[:REQUIRES]->(k)

// name: in_more_courses
// Links a mistake to its other courses.
UNWIND $rows AS row
MATCH (n:ErrorRecord {id: row.id})
MATCH (c:Course {id: row.course})
CREATE (n)-[:IN_COURSE]->(c)

// name: attempt_in_more_courses
// Links an attempt to its other courses.
UNWIND $rows AS row
MATCH (n:Attempt {id: row.id})
MATCH (c:Course {id: row.course})
CREATE (n)-[:IN_COURSE]->(c)

// name: about
// Links an interaction to a topic that it states, with its spellings of the topic.
UNWIND $rows AS row
MATCH (n:Interaction {id: row.id})
MATCH (t:Topic {id: row.topic})
CREATE (n)-[:ABOUT {stated_as: row.spelled}]->(t)

// name: read_tests
// Returns, for these items and knowledge points, the number of records by spelling of the point, and the last review.
// The plan begins at the item, which tests a few points, and not at the point, which many items test.
UNWIND $rows AS row
MATCH (i:Item {id: row.item})
MATCH (i)-[r:TESTS|NOT_TESTS]->(k) WHERE k.id = row.point
RETURN collect([row.item, row.point, properties(r)]) AS tests

// name: set_tests
// Sets the counts, and the stamp of the last review.
UNWIND $rows AS row
MATCH (i:Item {id: row.item})
MATCH (k:KnowledgePoint {id: row.point})
MERGE (i)-[r:TESTS]->(k)
SET r.spellings = row.spellings, r.spelling_counts = row.spelling_counts, r.stamp = row.stamp

// name: set_not_tests
// The same as `set_tests`, if a reviewer says that the item does not test the point. Then the records do not decide.
UNWIND $rows AS row
MATCH (i:Item {id: row.item})
MATCH (k:KnowledgePoint {id: row.point})
MERGE (i)-[r:NOT_TESTS]->(k)
SET r.spellings = row.spellings, r.spelling_counts = row.spelling_counts, r.stamp = row.stamp

// name: remove_tests
// Removes relationships that neither a record nor a reviewer states any more, or that change to the other type.
UNWIND $rows AS row
MATCH (i:Item {id: row.item})-[r:TESTS|NOT_TESTS]->(k) WHERE k.id = row.point
DELETE r

// name: read_learns
// Returns LEARNS of these students and courses. The plan must begin at the student, who has few courses, and not at
// the course, which has many students. So the course has no label: a plan cannot begin at a node without a label.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (s)-[r:LEARNS]->(c) WHERE c.id = row.course
RETURN collect([row.student, row.course, properties(r)]) AS learns

// name: course_records
// Returns all records about these students in these courses.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (s)-[:HAS_RECORD]->(n:CourseRecord)-[:IN_COURSE]->(c) WHERE c.id = row.course
RETURN row.student AS student, row.course AS course, n.id AS record, n.timestamp AS timestamp, properties(n) AS properties

// name: remove_learns
// Removes relationships that no record states any more.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (s)-[r:LEARNS]->(c) WHERE c.id = row.course
DELETE r

// name: create_learns
// Creates the relationship for a student's first record in a course.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (c:Course {id: row.course})
CREATE (s)-[r:LEARNS]->(c)
SET r = row.p, r.enrollment_date = datetime(row.enrolled), r.completion_date = datetime(row.completed)

// name: set_learns
// Updates the relationship by a later record of the student in the course. `read_learns` says why the course has no
// label.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
MATCH (s)-[r:LEARNS]->(c) WHERE c.id = row.course
SET r += row.p, r.enrollment_date = datetime(row.enrolled), r.completion_date = datetime(row.completed)
