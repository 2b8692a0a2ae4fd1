// name: records_after
// Returns the next records about students with their times, and whether they have a text or a quote from one.
// for: Attempt, CourseRecord, ErrorRecord, Interaction
MATCH (n:{label}) WHERE n.id > $after
RETURN n.id AS id, n.timestamp AS timestamp,
  coalesce(n.text, n.title, n.subject, n.feedback, n.question, n.error_text, n.response) IS NOT NULL
    OR n.found_evidence IS NOT NULL AS has_text
ORDER BY id LIMIT $limit

// name: feedback_pairs
// Returns the teachers and students of these interactions, if the interactions have feedback.
UNWIND $ids AS id
MATCH (n:Interaction {id: id})
WHERE n.feedback IS NOT NULL
MATCH (t:Teacher)-[:SENT]->(n)-[:RECEIVED_BY]->(s:Student)
RETURN DISTINCT t.id AS teacher, s.id AS student

// name: blank
// Removes the texts of records, and the quotes from them.
// for: Attempt, CourseRecord, ErrorRecord, Interaction
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
SET n.text = null, n.title = null, n.subject = null, n.feedback = null, n.question = null, n.error_text = null, n.response = null,
  n.found_evidence = null, n.finding = row.finding, n.written = $word

// name: old_active_days
// Returns some of the days before an ISO date, with their students.
MATCH (s:Student)-[:ACTIVE_ON]->(d:ActiveDay) WHERE d.date < $before
RETURN d.id AS id, s.id AS student LIMIT $limit

// name: end_active_days
// Deletes days. Their students get the word, since nothing else is left of the days.
UNWIND $ids AS id
MATCH (d:ActiveDay {id: id})
OPTIONAL MATCH (d)<-[:ACTIVE_ON]-(s:Student)
WITH d, collect(s) AS students
FOREACH (student IN students | SET student.changed = $word)
DETACH DELETE d
RETURN count(*) AS deleted

// name: memberships_after
// Returns the next memberships with their ends, their terms, and the courses of their groups.
MATCH (n:Membership) WHERE n.id > $after
RETURN n.id AS id, n.ends AS ends, n.term AS term, n.course_id AS course ORDER BY id LIMIT $limit

// name: ended_terms
// Returns the terms that ended before a moment.
MATCH (t:Term) WHERE t.ends < datetime($before)
RETURN t.id AS id

// name: people_of
// Returns the persons and groups of these memberships.
UNWIND $ids AS id
MATCH (n:Membership {id: id})
MATCH (p)-[:HAS_MEMBERSHIP]->(n)-[:IN_GROUP]->(g)
RETURN labels(p)[0] AS label, p.id AS person, g.id AS group
