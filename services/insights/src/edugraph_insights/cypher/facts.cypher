// name: attempts
// Returns the attempts of these students in a course until a moment, without those that have no outcome.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:TRIED]->(a:Attempt)-[:IN_COURSE]->(c)
WHERE c.id = $course AND a.timestamp <= datetime($until) AND a.outcome IS NOT NULL
MATCH (a)-[:OF_ITEM]->(i:Item)
RETURN s.id AS student, ['item', 'record', 'at', 'number', 'outcome'] AS columns,
  collect([i.id, a.id, toString(a.timestamp), coalesce(a.attempt_number, 0), a.outcome]) AS rows

// name: attempts_columns
// Returns the attempts of these students in a course, without those that have no outcome: for each student a list for each
// column. A moment is in microseconds. If another transaction deletes a node meanwhile, its properties are null, and the
// attempt is left out. A long answer is left out, with `is_long`. `mistakes` says what a mistake is.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:TRIED]->(a:Attempt)-[:IN_COURSE]->(c)
WHERE c.id = $course AND a.outcome IS NOT NULL
MATCH (a)-[:OF_ITEM]->(i:Item)
WITH id AS student, i.id AS item, a.id AS record, a.timestamp AS at, coalesce(a.attempt_number, 0) AS number,
  a.outcome AS outcome, coalesce(a.question, '') AS question, coalesce(a.response, '') AS response
WHERE item IS NOT NULL AND record IS NOT NULL AND at IS NOT NULL AND outcome IS NOT NULL
RETURN student, collect(item) AS item, collect(record) AS record,
  collect(at.epochSeconds * 1000000 + at.microsecond) AS moment, collect(number) AS number, collect(outcome) AS outcome,
  collect(outcome < 500 AND trim(CASE WHEN question <> '' THEN question ELSE response END) <> '') AS is_mistake,
  collect(size(response) > 200) AS is_long,
  collect(CASE WHEN size(response) > 200 THEN '' ELSE response END) AS answer

// name: attempts_of_words
// Returns the attempts that transactions with these words wrote last, in the form of `attempts_columns`. The outcome is -1
// if the attempt has none or is in other courses only.
MATCH (a:Attempt) USING INDEX SEEK a:Attempt(written) WHERE a.written IN $words
MATCH (s:Student)-[:TRIED]->(a)
MATCH (a)-[:OF_ITEM]->(i:Item)
OPTIONAL MATCH (a)-[:IN_COURSE]->(c) WHERE c.id = $course
WITH s.id AS student, i.id AS item, a.id AS record, a.timestamp AS at, coalesce(a.attempt_number, 0) AS number,
  CASE WHEN c IS NULL THEN -1 ELSE coalesce(a.outcome, -1) END AS outcome,
  coalesce(a.question, '') AS question, coalesce(a.response, '') AS response
WHERE student IS NOT NULL AND item IS NOT NULL AND record IS NOT NULL AND at IS NOT NULL
RETURN student, collect(item) AS item, collect(record) AS record,
  collect(at.epochSeconds * 1000000 + at.microsecond) AS moment, collect(number) AS number, collect(outcome) AS outcome,
  collect(outcome < 500 AND trim(CASE WHEN question <> '' THEN question ELSE response END) <> '') AS is_mistake,
  collect(size(response) > 200) AS is_long,
  collect(CASE WHEN size(response) > 200 THEN '' ELSE response END) AS answer

// name: errors_columns
// Returns the mistakes of these students in a course that are not attempts, in the form of `attempts_columns`. `resolved` is
// 0 or 1.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:MADE]->(m:ErrorRecord)-[:IN_COURSE]->(c)
WHERE c.id = $course
WITH id AS student, m.id AS record, m.timestamp AS at, CASE WHEN m.resolved THEN 1 ELSE 0 END AS resolved
WHERE record IS NOT NULL AND at IS NOT NULL
RETURN student, collect(record) AS record, collect(at.epochSeconds * 1000000 + at.microsecond) AS moment,
  collect(resolved) AS resolved

// name: errors_of_words
// Returns the mistakes that are not attempts and that transactions with these words wrote last, in the form of
// `errors_columns`. `resolved` is -1 if the mistake is in other courses only.
MATCH (m:ErrorRecord) USING INDEX SEEK m:ErrorRecord(written) WHERE m.written IN $words
MATCH (s:Student)-[:MADE]->(m)
OPTIONAL MATCH (m)-[:IN_COURSE]->(c) WHERE c.id = $course
WITH s.id AS student, m.id AS record, m.timestamp AS at,
  CASE WHEN c IS NULL THEN -1 WHEN m.resolved THEN 1 ELSE 0 END AS resolved
WHERE student IS NOT NULL AND record IS NOT NULL AND at IS NOT NULL
RETURN student, collect(record) AS record, collect(at.epochSeconds * 1000000 + at.microsecond) AS moment,
  collect(resolved) AS resolved

// name: answers_of_attempts
// Returns pairs of an attempt and its answer.
UNWIND $records AS id
MATCH (a:Attempt {id: id}) WHERE a.response IS NOT NULL
RETURN collect([a.id, a.response]) AS answers

// name: item_names
// Returns pairs of an item and its name.
UNWIND $items AS id
MATCH (i:Item {id: id})
RETURN collect([i.id, coalesce(i.name, i.id)]) AS names

// name: students_of_columns
// Returns those of these students who are in the graph: a list of their ids, of their words as `changed`, and of the numbers
// of their attempts in all courses. A student from whom nothing was ever taken has the word ''.
UNWIND $students AS id
MATCH (s:Student {id: id})
WITH s.id AS student, coalesce(s.changed, '') AS word, COUNT { (s)-[:TRIED]->() } AS attempts
WHERE student IS NOT NULL
RETURN collect(student) AS students, collect(word) AS words, collect(attempts) AS attempts

// name: level_students
// Returns students of a course by a course record. The order of their ids, read backwards, mixes older and
// newer students.
MATCH (c:Course {id: $course})<-[:LEARNS]-(s:Student)
WHERE coalesce(s.restricted, false) = false
RETURN s.id AS student ORDER BY reverse(s.id) LIMIT $limit

// name: level_students_with_answers
// Returns students with answers or mistakes in a course, in the same order.
MATCH (c:Course {id: $course})<-[:IN_COURSE]-()<-[:TRIED|MADE]-(s:Student)
WHERE coalesce(s.restricted, false) = false
WITH DISTINCT s.id AS student
RETURN student ORDER BY reverse(student) LIMIT $limit

// name: first_outcomes
// Returns, for each canonical point, how many first attempts of these students in a course until a moment were at an
// item that tests it, and how many of them were right; and the same of all attempts.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:TRIED]->(a:Attempt)-[:IN_COURSE]->(c)
WHERE c.id = $course AND a.timestamp <= datetime($until) AND a.outcome IS NOT NULL
MATCH (a)-[:OF_ITEM]->(i:Item)
WITH s, i, a ORDER BY a.timestamp, coalesce(a.attempt_number, 0), a.id
WITH s, i, collect(a.outcome) AS outcomes
WITH i, count(*) AS number, sum(CASE WHEN head(outcomes) >= 500 THEN 1 ELSE 0 END) AS right,
  sum(size(outcomes)) AS tries, sum(size([each IN outcomes WHERE each >= 500])) AS right_tries
MATCH (i)-[:TESTS]->(k:KnowledgePoint)
OPTIONAL MATCH (p:KnowledgePoint {id: k.canonical})
WITH DISTINCT i, coalesce(p.id, k.id) AS point, number, right, tries, right_tries
RETURN point, sum(number) AS number, sum(right) AS right, sum(tries) AS tries, sum(right_tries) AS right_tries

// name: tested_points
// Returns the points that these items test, as canonical points.
UNWIND $items AS id
MATCH (i:Item {id: id})-[:TESTS]->(k:KnowledgePoint)
OPTIONAL MATCH (p:KnowledgePoint {id: k.canonical})
RETURN DISTINCT i.id AS item, coalesce(p.id, k.id) AS point, coalesce(p.shown_as, p.name, p.id, k.name, k.id) AS name

// name: items_of_points
// Returns the items that test these points, which are canonical: those that a record puts into the course or assigns there,
// and those that anybody tried there. `points` has those of the points that an item tests.
UNWIND $points AS id
MATCH (k:KnowledgePoint {canonical: id})<-[:TESTS]-(i:Item)
WITH i, collect(DISTINCT id) AS points
WHERE EXISTS { (i)<-[:DEFINES]-(:Definition)-[:IN_COURSE|ASSIGNED_TO]->(:Course {id: $course}) }
  OR EXISTS { (i)<-[:OF_ITEM]-(:Attempt)-[:IN_COURSE]->(:Course {id: $course}) }
RETURN i.id AS item, coalesce(i.name, i.id) AS name, points

// name: mistakes
// Returns a row for each mistake of these students in a course during a period and each point behind it, with null if
// no point is known. A mistake is an ErrorRecord, or an attempt with an outcome below a half and words about it.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:MADE|TRIED]->(m)-[:IN_COURSE]->(c)
WHERE c.id = $course AND m.timestamp >= datetime($since) AND m.timestamp <= datetime($until)
  AND (m:ErrorRecord OR (m.outcome < 500 AND
    trim(CASE WHEN coalesce(m.question, '') <> '' THEN m.question ELSE coalesce(m.response, '') END) <> ''))
OPTIONAL MATCH (m)-[r:CONCERNS]->(k:KnowledgePoint)
OPTIONAL MATCH (p:KnowledgePoint {id: k.canonical})
RETURN s.id AS student,
  ['record', 'at', 'found', 'point', 'name', 'confidence', 'read', 'evidence', 'reviewed', 'resolved'] AS columns,
  collect([m.id, toString(m.timestamp), k.id, coalesce(p.id, k.id), coalesce(p.shown_as, p.name, p.id, k.name, k.id), r.confidence,
    m.finding IS NOT NULL, m.found_evidence IS NOT NULL, m.verdicts IS NOT NULL, coalesce(m.resolved, false)]) AS rows

// name: mistakes_at_point
// Returns the mistakes of these students in a course during a period at the items of a point, and those whose finding
// names the point, with the words that show the reason, and the text. `types` has the id and the name of each type, and
// whether the record itself gives it. `named` are the names of the point in the finding. `went_wrong` has the id of each
// sentence about what went wrong, and the id and the name of the canonical one. `mistakes` says what a mistake is.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:MADE|TRIED]->(m)-[:IN_COURSE]->(c)
WHERE c.id = $course AND m.timestamp >= datetime($since) AND m.timestamp <= datetime($until)
  AND (m:ErrorRecord OR (m.outcome < 500 AND
    trim(CASE WHEN coalesce(m.question, '') <> '' THEN m.question ELSE coalesce(m.response, '') END) <> ''))
OPTIONAL MATCH (m)-[:OF_ITEM]->(i:Item)-[:TESTS]->(t:KnowledgePoint) WHERE t.canonical = $point
OPTIONAL MATCH (m)-[:CONCERNS]->(k:KnowledgePoint) WHERE k.canonical = $point
WITH s, m, count(t) > 0 AS tested, collect(DISTINCT k.id) AS named
WHERE tested OR size(named) > 0
OPTIONAL MATCH (m)-[r:OF_TYPE]->(e:ErrorType)
OPTIONAL MATCH (p:ErrorType {id: e.canonical})
WITH s, m, tested, named, collect([e.id, coalesce(p.name, p.id, e.name, e.id), r.stated_as IS NOT NULL]) AS types
OPTIONAL MATCH (m)-[:SHOWS]->(w:Misconception)
OPTIONAL MATCH (v:Misconception {id: w.canonical})
WITH s, m, tested, named, types,
  collect([w.id, coalesce(v.id, w.id), coalesce(v.name, v.id, w.name, w.id)]) AS went_wrong
WITH s, m, tested, named, types, [each IN went_wrong WHERE each[0] IS NOT NULL] AS went_wrong
RETURN s.id AS student, ['record', 'at', 'tested', 'named', 'types', 'words', 'went_wrong', 'text'] AS columns,
  collect([m.id, toString(m.timestamp), tested, named, types, m.found_evidence, went_wrong,
    coalesce(m.response, m.error_text)]) AS rows

// name: messages
// Returns the messages, posts and answers without an outcome of these students, and the messages of teachers to them, in
// a course during a period.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:SENT|RECEIVED_BY|TRIED]-(n)-[:IN_COURSE]->(c)
WHERE c.id = $course AND n.timestamp >= datetime($since) AND n.timestamp <= datetime($until)
  AND n.outcome IS NULL AND coalesce(n.text, n.response) IS NOT NULL AND n.record_type <> 'action_record'
RETURN s.id AS student, ['record', 'at', 'read', 'evidence', 'confidence', 'sentiment', 'reviewed'] AS columns,
  collect([n.id, toString(n.timestamp), n.finding IS NOT NULL, n.found_evidence IS NOT NULL, n.found_confidence, n.found_sentiment,
    n.verdicts IS NOT NULL]) AS rows

// name: texts_of_course
// Returns the texts of a course. They have an index, since the course may have millions of other records.
MATCH (n:CourseContent {course_id: $course})
RETURN n.id AS record, n.finding IS NOT NULL AS read, n.found_evidence IS NOT NULL AS evidence,
  n.found_confidence AS confidence, n.verdicts IS NOT NULL AS reviewed

// name: prerequisites
// Returns the direct prerequisites of these points.
UNWIND $points AS id
MATCH (k:KnowledgePoint {canonical: id})-[r:DEPENDS_ON]->(b:KnowledgePoint)
OPTIONAL MATCH (p:KnowledgePoint {id: b.canonical})
RETURN k.canonical AS point, coalesce(p.id, b.id) AS needs, coalesce(p.shown_as, p.name, p.id, b.name, b.id) AS name,
  r.confidence AS confidence

// name: proposed_prerequisites
// Returns the direct prerequisites of these points that too few texts say, so that they are not followed yet.
UNWIND $points AS id
MATCH (k:KnowledgePoint {canonical: id})-[r:SET_ASIDE {reason: 'proposed'}]->(b:KnowledgePoint)
OPTIONAL MATCH (p:KnowledgePoint {id: b.canonical})
RETURN k.canonical AS point, coalesce(p.id, b.id) AS needs, coalesce(p.shown_as, p.name, p.id, b.name, b.id) AS name,
  r.confidence AS confidence

// name: points_of_course
// Returns the points that the texts of a course teach.
MATCH (c:Course {id: $course})-[:CONTAINS]->(k:KnowledgePoint)
RETURN DISTINCT coalesce(k.canonical, k.id) AS point

// name: latest_progress
// Returns the latest progress of these students in a course, as a list of the students and one of pairs of a student and the
// progress, since a row for each student costs the driver more. A student without a known progress has no pair.
UNWIND $students AS id
MATCH (s:Student {id: id})-[r:LEARNS]->(c) WHERE c.id = $course
RETURN collect(s.id) AS students,
  collect(CASE WHEN r.progress IS NULL THEN null ELSE [s.id, r.progress] END) AS progress

// name: latest_progress_until
// Returns the records, until a moment, of the progress of these students in a course.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:HAS_RECORD]->(n:CourseRecord)-[:IN_COURSE]->(c)
WHERE c.id = $course AND n.timestamp <= datetime($until)
RETURN s.id AS student, n.timestamp AS at, n.id AS record, n.progress AS progress

// name: course_name
// Returns a course, if it exists.
MATCH (c:Course {id: $course}) RETURN c.id AS course, coalesce(c.name, c.id) AS name

// name: records
// Returns attempts and mistakes of these students in a course, only at the point and the item if they are given, and only
// those with the canonical sentence about what went wrong if it is given. `tested` says that the item tests the point, and
// `named` are the names of the point in the finding. `sentences` has the id, the canonical id and the spelling of each
// sentence about what went wrong.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:MADE|TRIED]->(m)-[:IN_COURSE]->(c)
WHERE c.id = $course AND m.timestamp >= datetime($since) AND m.timestamp <= datetime($until)
OPTIONAL MATCH (m)-[:OF_ITEM]->(i:Item)
OPTIONAL MATCH (i)-[:TESTS]->(t:KnowledgePoint) WHERE t.canonical = $point
OPTIONAL MATCH (m)-[:CONCERNS]->(k:KnowledgePoint) WHERE k.canonical = $point
WITH s, m, i, count(t) > 0 AS tested, collect(DISTINCT k.id) AS named
WHERE ($item IS NULL OR i.id = $item) AND ($point IS NULL OR tested OR size(named) > 0)
OPTIONAL MATCH (m)-[w:SHOWS]->(x:Misconception)
WITH s, m, i, tested, named, collect([x.id, x.canonical, coalesce(head(w.found_as), x.name, x.id)]) AS shown,
  collect(x.canonical) AS misconceptions
WHERE $misconception IS NULL OR $misconception IN misconceptions
RETURN m.id AS record, [each IN labels(m) WHERE each <> 'Record'][0] AS kind, s.id AS student, m.timestamp AS at,
  i.id AS item, m.outcome AS outcome, m.question AS question, coalesce(m.response, m.error_text) AS text,
  tested, named, [each IN shown WHERE each[0] IS NOT NULL] AS sentences
ORDER BY m.timestamp DESC, m.id LIMIT $limit

// name: message_records
// Returns messages, posts and answers without an outcome of these students in a course, or without a course, during a
// period. A message that another student sent or received is left out. With $of only those of one student are returned,
// and the answers to the posts whose marks are $marks.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:SENT|RECEIVED_BY|TRIED]-(n)
WHERE n.timestamp >= datetime($since) AND n.timestamp <= datetime($until) AND n.outcome IS NULL
  AND n.record_type <> 'action_record'
OPTIONAL MATCH (n)-[:IN_COURSE]->(c:Course)
WITH s, n, collect(c.id) AS courses
WHERE size(courses) = 0 OR $course IN courses
WITH n, collect(s.id) AS known
WHERE ($of IS NULL OR $of IN known OR n.reply_mark IN $marks)
  AND size(known) = COUNT { (n)-[:SENT|RECEIVED_BY|TRIED]-(:Student) }
OPTIONAL MATCH (a:Student)-[:SENT|TRIED]->(n)
OPTIONAL MATCH (n)-[:RECEIVED_BY]->(b:Student)
RETURN n.id AS record, [each IN labels(n) WHERE each <> 'Record'][0] AS kind, coalesce(a.id, b.id) AS student,
  CASE WHEN a.id IS NULL THEN null ELSE b.id END AS partner, n.timestamp AS at,
  coalesce(n.text, n.response) AS text, n.reply_mark AS answers
ORDER BY n.timestamp DESC, n.id LIMIT $limit

// name: posts
// Returns the posts of these students in a course until a moment, also those before the period: a post of the period may
// answer an older one.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:SENT]->(n:Interaction {record_type: 'post_record'})-[:IN_COURSE]->(c)
WHERE c.id = $course AND n.timestamp <= datetime($until)
RETURN s.id AS student, ['record', 'at', 'answers'] AS columns, collect([n.id, toString(n.timestamp), n.reply_mark]) AS rows

// name: post_records
// Returns the posts of these students in a course during a period, only those of one thread if it is given.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:SENT]->(n:Interaction {record_type: 'post_record'})-[:IN_COURSE]->(c)
WHERE c.id = $course AND n.timestamp >= datetime($since) AND n.timestamp <= datetime($until)
  AND ($thread IS NULL OR n.thread_id = $thread)
RETURN n.id AS record, 'Interaction' AS kind, s.id AS student, n.timestamp AS at, n.thread_id AS thread,
  n.reply_mark AS answers, n.title AS question, n.text AS text, n.found_sentiment AS mood
ORDER BY n.timestamp DESC, n.id LIMIT $limit

// name: progress_records
// Returns the records of the progress of these students in a course during a period.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:HAS_RECORD]->(n:CourseRecord)-[:IN_COURSE]->(c)
WHERE c.id = $course AND n.timestamp >= datetime($since) AND n.timestamp <= datetime($until)
RETURN n.id AS record, 'CourseRecord' AS kind, s.id AS student, n.timestamp AS at, n.progress AS progress
ORDER BY n.timestamp DESC, n.id LIMIT $limit

// name: text_records
// Returns the texts of a course by their titles.
MATCH (n:CourseContent {course_id: $course})
RETURN n.id AS record, 'CourseContent' AS kind, n.timestamp AS at, n.title AS question
ORDER BY n.timestamp DESC, n.id LIMIT $limit

// name: contacts
// Returns when teachers wrote to these students in a course, or without a course.
UNWIND $students AS id
MATCH (s:Student {id: id})<-[:RECEIVED_BY]-(n:Interaction)<-[:SENT]-(t:Teacher)
WHERE n.timestamp <= datetime($until) AND n.record_type <> 'action_record'
OPTIONAL MATCH (n)-[:IN_COURSE]->(c:Course)
WITH s, n, collect(c.id) AS courses
WHERE size(courses) = 0 OR $course IN courses
RETURN s.id AS student, n.timestamp AS at

// name: actions
// Returns what teachers did about these students in a course, until a moment.
UNWIND $students AS id
MATCH (s:Student {id: id})<-[:RECEIVED_BY]-(n:Interaction {record_type: 'action_record'})-[:IN_COURSE]->(c)
WHERE c.id = $course AND n.timestamp <= datetime($until)
MATCH (n)<-[:SENT]-(t:Teacher)
RETURN s.id AS student, n.id AS record, n.timestamp AS at, t.id AS author, t.name AS author_name, n.spoken AS spoken,
  n.text AS text, n.not_until AS not_until
ORDER BY n.timestamp DESC, n.id

// name: names
// Returns the names of these students.
UNWIND $students AS id
MATCH (s:Student {id: id})
RETURN s.id AS student, s.name AS name

// name: points_taught
// Returns the points that the texts of a course teach, as canonical points with their names.
MATCH (c:Course {id: $course})-[:CONTAINS]->(k:KnowledgePoint)
OPTIONAL MATCH (p:KnowledgePoint {id: k.canonical})
RETURN DISTINCT coalesce(p.id, k.id) AS point, coalesce(p.shown_as, p.name, p.id, k.name, k.id) AS name

// name: mistake_types
// Returns a row for each mistake of these students in a course during a period and each type of it, with its canonical
// type, its item, and the points that the item tests or that are behind the mistake. `stated` says that the record itself
// gives the type, and not an analyser alone. A record may stand for several mistakes, and says whether they are resolved.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:MADE|TRIED]->(m)-[:IN_COURSE]->(c)
WHERE c.id = $course AND m.timestamp >= datetime($since) AND m.timestamp <= datetime($until)
MATCH (m)-[r:OF_TYPE]->(t:ErrorType)
OPTIONAL MATCH (p:ErrorType {id: t.canonical})
WITH DISTINCT s, m, t.id AS found, r.stated_as IS NOT NULL AS stated, coalesce(p.id, t.id) AS type,
  coalesce(p.name, p.id, t.name, t.id) AS name
OPTIONAL MATCH (m)-[:OF_ITEM]->(i:Item)
// The embedded engine takes an item that is missing for any item.
WITH s, m, found, stated, type, name, i.id AS item, CASE WHEN i IS NULL THEN [] ELSE
  [(i)-[:TESTS]->(k:KnowledgePoint) | coalesce(k.canonical, k.id)] END +
  [(m)-[:CONCERNS]->(k:KnowledgePoint) | coalesce(k.canonical, k.id)] AS points
RETURN s.id AS student,
  ['record', 'at', 'found', 'stated', 'type', 'name', 'occurrences', 'resolved', 'item', 'points'] AS columns,
  collect([m.id, toString(m.timestamp), found, stated, type, name, coalesce(m.occurrence_count, 1), coalesce(m.resolved, false),
    item, points]) AS rows

// name: moods
// Returns a row for each text of these students in a course during a period and each topic of it, with its mood. The
// topic is null if none is known. A message belongs to the student who sent it, or who received it from a teacher. A post
// and an answer without an outcome belong to the student who wrote them.
UNWIND $students AS id
MATCH (s:Student {id: id})-[r:SENT|RECEIVED_BY|TRIED]-(n)-[:IN_COURSE]->(c)
WHERE c.id = $course AND n.timestamp >= datetime($since) AND n.timestamp <= datetime($until)
  AND n.outcome IS NULL AND coalesce(n.text, n.response) IS NOT NULL
  AND (type(r) <> 'RECEIVED_BY' OR n.record_type = 'teacher_interaction')
OPTIONAL MATCH (n)-[:ABOUT]->(t:Topic)
OPTIONAL MATCH (p:Topic {id: t.canonical})
RETURN s.id AS student, ['record', 'at', 'mood', 'topic', 'name'] AS columns,
  collect(DISTINCT [n.id, toString(n.timestamp), n.found_sentiment, coalesce(p.id, t.id),
    coalesce(p.name, p.id, t.name, t.id)]) AS rows

// name: ties
// Returns how often one of these students wrote to another of them, or liked a text of the other, in a course or without
// a course. The receiver has no label, so that the plan begins at the sender.
UNWIND $students AS id
MATCH (a:Student {id: id})-[:SENT]->(n:Interaction)-[:RECEIVED_BY]->(b)
WHERE n.timestamp >= datetime($since) AND n.timestamp <= datetime($until) AND a <> b AND b.id IN $students
OPTIONAL MATCH (n)-[:IN_COURSE]->(c:Course)
WITH a, b, n, collect(c.id) AS courses
WHERE size(courses) = 0 OR $course IN courses
RETURN a.id AS sender, b.id AS receiver, sum(coalesce(n.message_count, n.like_count, 1)) AS times

// name: last_activity
// Returns when each of these students last tried an item, made a mistake or wrote in a course, and the active minutes of
// the last two days on which they used it. On the last of them, all minutes may come after the end of the period.
UNWIND $students AS id
MATCH (s:Student {id: id})
OPTIONAL MATCH (s)-[:TRIED|MADE|SENT]->(n)-[:IN_COURSE]->(c) WHERE c.id = $course AND n.timestamp <= datetime($until)
WITH s, max(n.timestamp) AS at
OPTIONAL MATCH (s)-[:ACTIVE_ON]->(d:ActiveDay) WHERE d.course_id = $course AND d.date <= $day
WITH s, at, d ORDER BY d.date DESC
RETURN s.id AS student, at, collect(d {.date, .hours})[..2] AS days

// name: terms
// Returns the terms of the school. A year has only a few.
MATCH (t:Term) RETURN t.starts AS starts, t.ends AS ends, t.breaks AS breaks LIMIT 1000

// name: term
// Returns a term, if it exists.
MATCH (t:Term {id: $term}) RETURN t.starts AS starts, t.ends AS ends, t.breaks AS breaks

// name: points_called
// Returns the canonical points of these ids.
UNWIND $ids AS id
MATCH (k:KnowledgePoint {id: id})
OPTIONAL MATCH (p:KnowledgePoint {id: k.canonical})
RETURN k.id AS called, coalesce(p.id, k.id) AS point, coalesce(p.shown_as, p.name, p.id, k.name, k.id) AS name

// name: findings
// Returns the mistakes of these students in a course during a period with a finding of an analyser, the texts that it
// read, and the verdicts of reviewers. If `reviewed` is true, only mistakes with verdicts are returned.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:MADE|TRIED]->(m)-[:IN_COURSE]->(c)
WHERE c.id = $course AND m.timestamp >= datetime($since) AND m.timestamp <= datetime($until)
  AND (m:ErrorRecord OR m.outcome IS NOT NULL) AND m.finding IS NOT NULL AND (NOT $reviewed OR m.verdicts IS NOT NULL)
OPTIONAL MATCH (m)-[:OF_ITEM]->(i:Item)
RETURN s.id AS student,
  ['record', 'at', 'type', 'question', 'response', 'error_text', 'finding', 'verdicts', 'evidence', 'item', 'title',
    'item_question'] AS columns,
  collect(DISTINCT [m.id, toString(m.timestamp), m.record_type, m.question, m.response, m.error_text, m.finding,
    m.verdicts, m.found_evidence, i.id, coalesce(i.name, i.id), i.question]) AS rows

// name: proposed_topics
// Returns the messages, posts and answers without an outcome of these students in a course during a period in which an
// analyser found topics that no list has, the texts that it read, and the verdicts of reviewers. `people` are all students
// who sent or received the text. To whom a text belongs is as in `moods`.
UNWIND $students AS id
MATCH (s:Student {id: id})-[r:SENT|RECEIVED_BY|TRIED]-(n)-[:IN_COURSE]->(c)
WHERE c.id = $course AND n.timestamp >= datetime($since) AND n.timestamp <= datetime($until)
  AND n.outcome IS NULL AND n.finding CONTAINS '"other_topics":["'
  AND (type(r) <> 'RECEIVED_BY' OR n.record_type = 'teacher_interaction')
WITH DISTINCT s, n, [(n)-[:SENT|RECEIVED_BY|TRIED]-(p:Student) | p.id] AS people
OPTIONAL MATCH (n)-[:OF_ITEM]->(i:Item)
RETURN s.id AS student,
  ['record', 'at', 'type', 'subject', 'title', 'text', 'feedback', 'question', 'response', 'finding', 'verdicts', 'evidence',
    'item', 'item_title', 'people'] AS columns,
  collect(DISTINCT [n.id, toString(n.timestamp), n.record_type, n.subject, n.title, n.text, n.feedback, n.question,
    n.response, n.finding, n.verdicts, n.found_evidence, i.id, coalesce(i.name, i.id), people]) AS rows

// name: said_of_items
// Returns the points that, by records or reviewers, these items test or do not test.
UNWIND $items AS id
MATCH (i:Item {id: id})-[r:TESTS|NOT_TESTS]->(k:KnowledgePoint)
RETURN i.id AS item, type(r) AS type, r.stamp AS stamp, k.id AS point, coalesce(k.canonical, k.id) AS canonical

// name: judged_misconceptions
// Returns the reviewed pairs with one of these sentences about what went wrong.
UNWIND $ids AS id
MATCH (a:Misconception {id: id})-[j:JUDGED]-(b:Misconception)
RETURN a.id AS one, b.id AS other, j.same AS same, j.skipped AS skipped

// name: misconceptions
// Returns the sentences about what went wrong in mistakes of these students in a course during a period, with each point
// of such a mistake: those that its item tests and those that its finding names.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:MADE|TRIED]->(m)-[:IN_COURSE]->(c)
WHERE c.id = $course AND m.timestamp >= datetime($since) AND m.timestamp <= datetime($until)
MATCH (m)-[:SHOWS]->(w:Misconception)
WITH s, m, w, [(m)-[:CONCERNS]->(k:KnowledgePoint) | k.canonical] +
  [(m)-[:OF_ITEM]->(:Item)-[:TESTS]->(t:KnowledgePoint) | t.canonical] AS points
RETURN s.id AS student, ['record', 'id', 'name', 'canonical', 'points'] AS columns,
  collect([m.id, w.id, coalesce(w.name, w.id), w.canonical, points]) AS rows

// name: proposed_same
// Returns the pairs of possible synonyms with at least one of these points, with their verdicts.
UNWIND $points AS id
MATCH (k:KnowledgePoint {canonical: id})-[r:PROPOSED_SAME]-(m:KnowledgePoint)
OPTIONAL MATCH (k)-[j:JUDGED]-(m)
RETURN k.id AS one, coalesce(k.shown_as, k.name, k.id) AS one_name, k.canonical AS one_canonical,
  m.id AS other, coalesce(m.shown_as, m.name, m.id) AS other_name, m.canonical AS other_canonical,
  r.likeness AS likeness, j.same AS same, j.skipped AS skipped

// name: use_of_points
// Returns the courses that have these points, under exactly this id, and how many texts, items, definitions and ids
// name them. The records of students are counted by mistakes_naming.
UNWIND $points AS id
MATCH (k:KnowledgePoint {id: id})
OPTIONAL MATCH (k)<-[:CONTAINS]-(c:Course)
WITH k, collect(coalesce(c.name, c.id)) AS courses
RETURN k.id AS point, courses,
  COUNT { (k)<-[:DESCRIBES]-() } + COUNT { (k)<-[:TESTS]-() } + COUNT { (k)<-[:DEFINES]-() }
    + COUNT { (k)<-[:CALLED]-() } AS records

// name: mistakes_naming
// Returns how many mistakes of these students in a course during a period name these points under exactly this id.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:MADE|TRIED]->(m)-[:IN_COURSE]->(c)
WHERE c.id = $course AND m.timestamp >= datetime($since) AND m.timestamp <= datetime($until)
MATCH (m)-[:CONCERNS]->(k) WHERE k.id IN $points
RETURN k.id AS point, count(DISTINCT m) AS mistakes

// name: excluded_prerequisites
// Returns prerequisites of these points that are set aside, or that reviewers judged. `accepted` is null without a
// verdict, `excluded` says whether the prerequisite is set aside now, and `reason` why: it would close a cycle, was
// rejected, or is proposed by too few texts.
UNWIND $points AS id
MATCH (k:KnowledgePoint {canonical: id})-[:JUDGED_NEED|SET_ASIDE]->(m:KnowledgePoint)
WITH DISTINCT k, m
OPTIONAL MATCH (k)-[j:JUDGED_NEED]->(m)
OPTIONAL MATCH (k)-[r:SET_ASIDE]->(m)
WITH k, m, j, r WHERE j.accepted IS NOT NULL OR r IS NOT NULL
RETURN k.id AS point, coalesce(k.shown_as, k.name, k.id) AS name, k.canonical AS canonical,
  m.id AS needs, coalesce(m.shown_as, m.name, m.id) AS needs_name, m.canonical AS needs_canonical,
  r.confidence AS confidence, j.accepted AS accepted, r IS NOT NULL AS excluded, r.reason AS reason

// name: followed_prerequisites
// Returns prerequisites of these points that texts say, and that are followed though no reviewer decided about them.
UNWIND $points AS id
MATCH (k:KnowledgePoint {canonical: id})-[r:DEPENDS_ON]->(m:KnowledgePoint)
OPTIONAL MATCH (k)-[j:JUDGED_NEED]->(m)
WITH k, m, r, j WHERE j.accepted IS NULL
  AND NOT EXISTS { MATCH (k)<-[:DEFINES]-(n:Definition) MATCH (n)-[:REQUIRES]->(m) }
RETURN k.id AS point, coalesce(k.shown_as, k.name, k.id) AS name, k.canonical AS canonical,
  m.id AS needs, coalesce(m.shown_as, m.name, m.id) AS needs_name, m.canonical AS needs_canonical,
  r.confidence AS confidence, null AS accepted, false AS excluded, null AS reason

// name: accepted_prerequisites
// Returns the prerequisites of these points that reviewers accepted.
UNWIND $points AS id
MATCH (k:KnowledgePoint {canonical: id})-[r:JUDGED_NEED]->(m:KnowledgePoint)
WHERE r.accepted
RETURN DISTINCT k.canonical AS point, m.canonical AS needs

// name: unsettled_claims
// Returns a row if claims or verdicts of prerequisites changed since these were derived.
MATCH (c:ClaimChange) RETURN c.id AS id LIMIT 1

// name: claims_of_points
// Returns the texts and definitions that claim prerequisites of these points.
UNWIND $points AS id
MATCH (k:KnowledgePoint {id: id})<-[d:DESCRIBES]-(n:CourseContent)
WHERE d.requires IS NOT NULL
RETURN id AS point, coalesce(n.title, n.id) AS title, d.requires AS requires, d.requires_confidence AS confidence,
  d.requires_quotes AS quotes, true AS is_text
UNION ALL
UNWIND $points AS id
MATCH (k:KnowledgePoint {id: id})<-[:DEFINES]-(n:Definition)-[:REQUIRES]->(m)
RETURN id AS point, n.id AS title, [m.id] AS requires, [1.0] AS confidence, null AS quotes, false AS is_text

// name: comparison
// Returns the number of points that were compared, and the encoder, or null if there was no encoder.
MATCH (l:Lock {id: 'proposals'}) WHERE l.compared IS NOT NULL
RETURN l.compared AS compared, l.encoder AS encoder

// name: assigned_to_course
// Returns the definitions that assign an item to a course.
MATCH (c:Course {id: $course})<-[r:ASSIGNED_TO]-(n:Definition)-[:DEFINES]->(i:Item)
RETURN i.id AS item, coalesce(i.name, i.id) AS name, null AS group, n.timestamp AS at, n.id AS record,
  r.due_at AS due, i.due_at AS due_of_item, [] AS stated, [] AS of_group

// name: assigned_to_groups
// Returns the definitions that assign an item to a group in which one of these students is or was, with the course of the
// definition and the courses of the group.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:MEMBER_OF]->(g:Group)
WITH DISTINCT g
MATCH (g)<-[r:ASSIGNED_TO]-(n:Definition)-[:DEFINES]->(i:Item)
RETURN i.id AS item, coalesce(i.name, i.id) AS name, g.id AS group, n.timestamp AS at, n.id AS record,
  r.due_at AS due, i.due_at AS due_of_item, [(n)-[:IN_COURSE]->(c) | c.id] AS stated,
  [(g)-[:OF_COURSE]->(c) | c.id] AS of_group

// name: members_of_groups
// Returns the memberships of these students in some groups.
UNWIND $students AS id
MATCH (s:Student {id: id})-[m:MEMBER_OF]->(g) WHERE g.id IN $groups
RETURN s.id AS student, g.id AS group, m.starts AS starts, m.ends AS ends

// name: enrolled
// Returns when these students were enrolled in a course. The time is null if no record says it.
UNWIND $students AS id
MATCH (s:Student {id: id})-[r:LEARNS]->(c) WHERE c.id = $course
RETURN s.id AS student, r.enrollment_date AS at

// name: hand_ins
// Returns the attempts of these students at some items until a moment, in a course or without a course, also those
// without an outcome.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:TRIED]->(a:Attempt)-[:OF_ITEM]->(i)
WHERE i.id IN $items AND a.timestamp <= datetime($until)
  AND (NOT EXISTS { (a)-[:IN_COURSE]->() } OR EXISTS { (a)-[:IN_COURSE]->(c) WHERE c.id = $course })
RETURN s.id AS student, ['item', 'at', 'late'] AS columns, collect([i.id, toString(a.timestamp), a.late]) AS rows

// name: hinted_attempts
// Returns the attempts of these students in a course during a period, also those without an outcome, with the number of
// hints that were used.
UNWIND $students AS id
MATCH (s:Student {id: id})-[:TRIED]->(a:Attempt)-[:IN_COURSE]->(c)
WHERE c.id = $course AND a.timestamp >= datetime($since) AND a.timestamp <= datetime($until)
MATCH (a)-[:OF_ITEM]->(i:Item)
RETURN s.id AS student, ['item', 'title', 'hints'] AS columns, collect([i.id, coalesce(i.name, i.id), a.hints]) AS rows
