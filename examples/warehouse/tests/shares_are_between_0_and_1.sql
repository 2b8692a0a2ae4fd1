SELECT * FROM {{ ref('course_points') }} WHERE share_right NOT BETWEEN 0 AND 1
