-- For each course and point: how many students tried it, and the mean of their shares right at the first attempt.
WITH of_students AS (
  SELECT attempt.course, tested.point, attempt.student, count(*) AS attempts, avg(attempt.outcome) / 1000 AS share
  FROM {{ ref('first_attempts') }} AS attempt
  JOIN {{ ref('points_of_items') }} AS tested ON tested.item = attempt.item
  GROUP BY ALL
)
SELECT
  of_students.course,
  of_students.point,
  any_value(named.name) AS name,
  count(*) AS students,
  CAST(sum(of_students.attempts) AS BIGINT) AS attempts,
  avg(of_students.share) AS share_right
FROM of_students
LEFT JOIN {{ source('edugraph', 'points') }} AS named ON named.id = of_students.point
GROUP BY of_students.course, of_students.point
