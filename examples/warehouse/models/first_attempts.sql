-- The first attempt of each student at each item of a course. Later ones say what repetition did, and not what was known.
SELECT
  attempt.*,
  CAST(timezone('{{ var("school_time_zone") }}', attempt.at) AS DATE) AS day
FROM {{ source('edugraph', 'attempts') }} AS attempt
WHERE attempt.outcome IS NOT NULL AND attempt.course <> ''
QUALIFY row_number() OVER (
  PARTITION BY attempt.student, attempt.course, attempt.item
  ORDER BY attempt.at, coalesce(attempt.number, 0), attempt.record
) = 1
