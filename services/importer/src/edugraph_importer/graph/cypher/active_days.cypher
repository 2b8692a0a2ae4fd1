// name: active_days
// Returns the activity of these days.
UNWIND $ids AS id
MATCH (d:ActiveDay {id: id})
RETURN id, d.hours AS hours, d.kinds AS kinds

// name: students_of_days
// Returns the students at whose nodes these days are.
UNWIND $ids AS id
MATCH (d:ActiveDay {id: id})<-[:ACTIVE_ON]-(s)
RETURN id, s.id AS student

// name: create_active_days
// Creates days on which students were active. The course is a property, because a relationship to it would make the
// course a hub.
UNWIND $rows AS row
MATCH (s:Student {id: row.student})
CREATE (s)-[:ACTIVE_ON]->(d:ActiveDay {
  id: row.id, course_id: row.course, date: row.date, hours: row.hours, active_minutes: row.minutes, kinds: row.kinds,
  written: $word
})

// name: set_active_days
// Sets the activity of days.
UNWIND $rows AS row
MATCH (d:ActiveDay {id: row.id})
SET d.hours = row.hours, d.active_minutes = row.minutes, d.kinds = row.kinds, d.written = $word

// name: delete_active_days
// Deletes all days of a student.
MATCH (s:Student {id: $id})-[:ACTIVE_ON]->(d)
DETACH DELETE d
RETURN count(*) AS deleted
