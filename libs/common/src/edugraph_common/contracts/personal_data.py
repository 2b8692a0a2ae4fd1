"""The registry of personal data: all places where an installation keeps data, with eraser, exporter and retention.

`make privacy-page` writes the inventory in `docs/privacy.md` from it. Each new key, property or queue needs an entry.

Patterns are those of `fnmatch`, case-sensitive. They match the names that the store itself uses: a Redis key, the key
of a blob, a queue, `Label.property` and `RELATIONSHIP_TYPE.property` of the graph.
"""

import hashlib
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple


class Store(StrEnum):
    """The kind of a place. A pattern is compared with names of its own store only."""

    GRAPH = "graph"
    BLOBS = "blob store"
    REDIS = "Redis"
    QUEUES = "RabbitMQ"
    PROCESS = "process"
    OUTSIDE = "outside"


Level = Literal["personal", "pseudonymous", "none"]
"""`pseudonymous`: hashes, or ids that identify nobody without another store. `none`: no data about persons."""

Eraser = Literal[
    "graph",
    "files",
    "fits",
    "jobs",
    "results",
    "queues",
    "dead_letters",
    "answers",
    "members",
    "views",
    "digests",
]
"""The part of an erasure that erases a person there. The result of an erasure is grouped by these names."""

Exporter = Literal[
    "graph", "files", "fits", "jobs", "results", "dead_letters", "views", "digests", "audit"
]
"""The part of `edugraph export-person` that reads a person's data there."""


class Words(NamedTuple):
    """A sentence or phrase in English and Chinese, the two languages of the pages."""

    en: str
    zh: str


class DataPlace(NamedTuple):
    """A kind of place that holds data. `kept` is how long; `retention` names the setting or rule that ends it.

    `left` describes the data that an erasure leaves there, and why. A place without an `eraser` is left unchanged.
    """

    name: str
    store: Store
    patterns: tuple[str, ...]
    level: Level
    holds: Words
    purpose: Words
    kept: Words
    retention: str | None = None
    eraser: Eraser | None = None
    exporter: Exporter | None = None
    left: Words | None = None

    def covers(self, place: str) -> bool:
        return any(fnmatchcase(place, pattern) for pattern in self.patterns)


def place_of(store: Store, place: str) -> DataPlace | None:
    """Return the first entry that covers a place, or None if the place is not listed."""
    for each in PLACES:
        if each.store is store and each.covers(place):
            return each
    return None


def patterns_of(eraser: Eraser) -> tuple[str, ...]:
    """Return the patterns of the Redis keys that an eraser searches."""
    patterns: list[str] = []
    for each in PLACES:
        if each.store is Store.REDIS and each.eraser == eraser:
            patterns += each.patterns
    return tuple(patterns)


def keys_in_redis(name: str) -> tuple[str, ...]:
    """Return the patterns of the Redis keys of the entry `name`. Raises StopIteration for an unknown name."""
    return next(each.patterns for each in PLACES if each.store is Store.REDIS and each.name == name)


def record_mark(record_id: str) -> str:
    """Return a hash of the record's id.

    Stored answers of the model have it, so that they can be erased. A post has the hash of the post that it answers.
    """
    return hashlib.sha256(f"record {record_id}".encode()).hexdigest()[:24]


_GRAPH_LIFE = Words("until it is erased or withdrawn", "直到被删除或撤回")
_RECORD_LIFE = Words(
    "until it is erased or withdrawn, or its retention is over (off by default; texts may go first; who was in a "
    "group goes by the end of that time)",
    "直到被删除、撤回或保留期结束（默认不限期；文本可先行清除；班组成员关系按其结束时间计算）",
)
_RECORD_RETENTION = "EDUGRAPH_GRAPH_RECORD_RETENTION_DAYS"
_JOB_LIFE = Words(
    "30 days after the job's end; of a job that runs, until it ends",
    "任务结束后 30 天；运行中的任务保留到结束",
)
_WITH_SOURCES = Words("as long as the source", "与源文件相同")
_NO_PERSON = Words("it names no person", "其中没有个人数据")
_TOLD_LIFE = Words("a day after it was told last", "最后一次告知后一天")
_SECONDS = Words("seconds to a week", "数秒至一周")
_TASKS = Words("to do each task once, also after a crash", "使每项任务即使在崩溃后也只执行一次")
_SERVE_JOBS = Words("to show and to resume a job", "显示和恢复任务")
_PROVENANCE = Words(
    "the purpose of the graph: to see what is learned and what is hard",
    "图谱的用途：了解学到了什么、难在哪里",
)

_GRAPH = (
    DataPlace(
        "graph.student",
        Store.GRAPH,
        ("Student.*",),
        "personal",
        Words(
            "id and name of a student, ids from before a renaming, the record that gave the name, and whether the "
            "student is restricted",
            "学生的编号和姓名、改名之前的编号、给出姓名的记录，以及是否被限制处理",
        ),
        _PROVENANCE,
        _RECORD_LIFE,
        retention=_RECORD_RETENTION,
        eraser="graph",
        exporter="graph",
    ),
    DataPlace(
        "graph.records",
        Store.GRAPH,
        (
            "Interaction.*",
            "ErrorRecord.*",
            "CourseRecord.*",
            "Attempt.*",
            "Membership.*",
            "ActiveDay.*",
        ),
        "personal",
        Words(
            "texts of messages, posts, feedback, questions, mistakes and answers, what teachers did about a student, "
            "with their notes, a hash of the id of the post that a post answers, outcomes of attempts, hints and "
            "lateness, progress and dates, membership of groups, minutes of activity by course and day, and what was "
            "found in them, with quotes, sentences about mistakes, and the topics and types of mistakes that are "
            "proposed",
            "消息、帖子、评语、题目、错误和作答的文本，教师对学生所做的处理及其备注，帖子所回复帖子编号的散列值，作答结果、所用提示和是否迟交，进度和日期，所属班组，每门课每天的活动分钟，以及在其中发现的内容、引文、对错误的一句说明和所建议的话题与错误类型",
        ),
        _PROVENANCE,
        _RECORD_LIFE,
        retention=_RECORD_RETENTION,
        eraser="graph",
        exporter="graph",
        left=Words(
            "texts of other people that name the person: listed by record, for a person to decide",
            "他人文本中提到此人的内容：按记录列出，由人来决定",
        ),
    ),
    DataPlace(
        "graph.person_records",
        Store.GRAPH,
        ("PersonRecord.*", "PersonId.*", "CLAIMS.*", "DECIDES.*", "OF_PERSON.*"),
        "personal",
        Words(
            "which ids a person has, as schools and platforms state it, and the name that the record gives",
            "学校和平台给出的同一人的各个编号，以及记录中给出的姓名",
        ),
        Words("ids that mean one person are known", "知道哪些编号是同一个人"),
        _GRAPH_LIFE,
        eraser="graph",
        exporter="graph",
    ),
    DataPlace(
        "graph.of_persons",
        Store.GRAPH,
        tuple(
            f"{name}.*"
            for name in (
                "ACTIVE_ON",
                "CHAT_WITH",
                "HAS_ERROR",
                "HAS_MEMBERSHIP",
                "HAS_RECORD",
                "LEADS",
                "LEARNS",
                "LIKES",
                "MADE",
                "MEMBER_OF",
                "PRACTISED",
                "RECEIVED_BY",
                "SENT",
                "TEACHES",
                "TRIED",
            )
        ),
        "personal",
        Words(
            "who wrote to whom and how often, progress, mistakes by type, tries at each item, feedback, who was in "
            "which group and when, the name that a record gave",
            "谁给谁写过、写过多少，进度，各类错误，各题的作答次数，评语，何时属于哪个班组，记录中给出的姓名",
        ),
        _PROVENANCE,
        _RECORD_LIFE,
        retention=_RECORD_RETENTION,
        eraser="graph",
        exporter="graph",
    ),
    DataPlace(
        "graph.teacher",
        Store.GRAPH,
        ("Teacher.*",),
        "personal",
        Words("id and name of a teacher", "教师的编号和姓名"),
        Words("to say who taught and answered", "说明由谁授课和答复"),
        _GRAPH_LIFE,
        left=Words(
            "an erasure is of a student; a teacher's records are withdrawn",
            "删除针对学生；教师的记录用撤回",
        ),
    ),
    DataPlace(
        "graph.courses",
        Store.GRAPH,
        (
            "Course.*",
            "CourseContent.*",
            "DESCRIBES.*",
            "IN_COURSE.*",
            "Group.*",
            "IN_GROUP.*",
            "OF_COURSE.*",
            "Term.*",
        ),
        "pseudonymous",
        Words(
            "courses and their texts with quotes from them, groups and terms, and which record gave a name; a "
            "text may name people",
            "课程及其文本和其中的引文、班组和学期，以及名称由哪条记录给出；文本中可能提到人",
        ),
        Words("what is taught", "课程内容"),
        _GRAPH_LIFE,
        eraser="graph",
        left=Words(
            "texts of a course that name the person are listed, for a person to decide",
            "课程文本中提到此人的内容会列出，由人来决定",
        ),
    ),
    DataPlace(
        "graph.terms",
        Store.GRAPH,
        (
            "Topic.*",
            "Item.*",
            "Definition.*",
            "ErrorType.*",
            "KnowledgePoint.*",
            "Misconception.*",
            "ABOUT.*",
            "ASSIGNED_TO.*",
            "OF_TYPE.*",
            "CONCERNS.*",
            "SHOWS.*",
            "RELATES_TO.*",
            "CONTAINS.*",
            "DEPENDS_ON.*",
            "SET_ASIDE.*",
            "CALLED.*",
            "PROPOSED_SAME.*",
            "OF_ITEM.*",
            "DEFINES.*",
            "REQUIRES.*",
            "TESTS.*",
            "NOT_TESTS.*",
        ),
        "pseudonymous",
        Words(
            "topics, items and when they are due, types of mistakes, sentences about mistakes and knowledge points "
            "with their spellings; what only the person's records named goes with them",
            "话题、题目及其截止时间、错误类型、对错误的一句说明、知识点及其写法；只由此人记录提到的会一并删除",
        ),
        _PROVENANCE,
        _GRAPH_LIFE,
        eraser="graph",
    ),
    DataPlace(
        "graph.reviews",
        Store.GRAPH,
        ("Review.*", "ReviewedRecord.*", "REVIEWS.*", "JUDGED.*", "JUDGED_NEED.*"),
        "pseudonymous",
        Words(
            "what reviewers said: who, when, about which types, points and topics, and about which record by its id "
            "and the hash of its text",
            "审核者的判断：谁、何时，涉及哪些类型、知识点和话题，以及涉及哪条记录（其编号和文本的哈希值）",
        ),
        Words(
            "to correct what the graph says, to measure how often analysers are right, and to show who did",
            "更正图谱内容，测量分析器有多少次是对的，并说明由谁更正",
        ),
        Words(
            "until the student is erased or the record's retention is over; of a record that is missing, 90 days",
            "直到学生被删除或记录的保留期结束；记录不在图谱中的，90 天",
        ),
        retention="EDUGRAPH_ORPHAN_REVIEW_RETENTION_DAYS",
        eraser="graph",
        exporter="graph",
        left=Words(
            "a review names its reviewer, by the id that they sign with; no student is a reviewer. What was said of "
            "a record that never came has the id of that record, which is yours to choose: nobody can tell whose it "
            "is, so it is left until its time is over",
            "审核记录中有审核者署名的编号；学生不是审核者。对从未到达的记录的判断只有该记录的编号（编号由您决定），"
            "无法得知属于谁，因此保留到期满为止",
        ),
    ),
    DataPlace(
        "graph.ledger",
        Store.GRAPH,
        ("ImportBatch.*", "FindingsPack.*"),
        "personal",
        Words(
            "outcomes of batches and packs; a reject quotes at most 80 characters of the value at fault",
            "批次的结果；被拒绝的行最多引用出错值的 80 个字符",
        ),
        Words("to write each batch once", "使每个批次只写入一次"),
        Words(
            "as long as dead letters (30 days), after job and files are gone (30 days after the job's end)",
            "任务和文件消失之后（任务结束后 30 天），与死信保留时间相同（30 天）",
        ),
        retention="EDUGRAPH_DEAD_LETTER_RETENTION_DAYS",
        eraser="graph",
        exporter="graph",
    ),
    DataPlace(
        "graph.jobs",
        Store.GRAPH,
        ("ImportJob.*",),
        "none",
        Words(
            "which jobs there were and whether they were undone; of those whose outcomes are gone, how many records "
            "they counted",
            "有过哪些任务、是否已撤销；结果已清除的任务只留计数",
        ),
        Words("a message that comes months later writes nothing", "数月后才到的消息不会再写入"),
        Words("for ever", "永久"),
    ),
    DataPlace(
        "graph.tombstones",
        Store.GRAPH,
        ("Tombstone.*",),
        "pseudonymous",
        Words(
            "a keyed hash of the id of an erased student, and when the erasure was",
            "被删除学生编号的带密钥散列值，以及删除的时间",
        ),
        Words(
            "a replay, a later import or a restored backup does not bring the student back",
            "重放、再次导入或恢复备份都不会使此学生重现",
        ),
        Words("until the student is admitted again", "直到重新接纳此学生"),
        left=Words(
            "without it, the next import would undo the erasure", "没有它，下一次导入就会使删除失效"
        ),
    ),
    DataPlace(
        "graph.withdrawn",
        Store.GRAPH,
        ("Withdrawn.*",),
        "pseudonymous",
        Words(
            "hashes of the ids of records that were taken back, and keys of their versions: numbers and short hashes",
            "已撤回记录编号的散列值，及其各版本的键（数字和短散列值）",
        ),
        Words(
            "a record that was taken back comes back only by a later change",
            "已撤回的记录只有在之后被更改时才会再出现",
        ),
        Words("for ever", "永久"),
        left=Words(
            "it is a hash of a record's id, and says of nobody whose it was",
            "只是记录编号的散列值，看不出属于谁",
        ),
    ),
    DataPlace(
        "graph.noted_changes",
        Store.GRAPH,
        ("LeaderChange.*", "IdClaimChange.*"),
        "pseudonymous",
        Words(
            "changes of leaders and of claims to ids that are not in the audit log yet: the person and the id as "
            "HMAC, the group, the client",
            "尚未写入审计日志的班组负责人变更和编号归属声明变更：人员和编号的 HMAC、班组、客户端",
        ),
        Words(
            "each change of who leads a group, and of who claims an id, is in the audit log",
            "班组负责人和编号归属声明的每次变更都要写入审计日志",
        ),
        Words("seconds, an hour after a crash", "数秒；进程中断后一小时"),
        left=Words("it moves into the audit log", "随后移入审计日志"),
    ),
    DataPlace(
        "graph.form",
        Store.GRAPH,
        ("ClaimChange.*", "RecordChange.*", "Schema.*"),
        "none",
        _NO_PERSON,
        Words(
            "the version of the graph's form, and which jobs changed prerequisites that are to be derived",
            "图谱形式的版本，以及哪些任务改变了尚待推导的先修关系",
        ),
        Words("for ever", "永久"),
    ),
    DataPlace(
        "graph.locks",
        Store.GRAPH,
        ("Lock.*",),
        "pseudonymous",
        Words(
            "locks; while a graph is verified or rebuilt, the id of the last node that is done, and counts",
            "锁；校验或重建图谱期间，最后处理完的节点的编号和计数",
        ),
        Words("to go on there after a process was killed", "进程被终止后从该处继续"),
        Words("until it has ended; the locks for ever", "直到结束；锁永久保留"),
        eraser="graph",
    ),
)

_BLOBS = (
    DataPlace(
        "blobs.fits",
        Store.BLOBS,
        ("fits/*",),
        "pseudonymous",
        Words(
            "what the offline analyser learned of a course: for each labelled mistake the ids of record and student, "
            "stems of its words without names, and the labels",
            "离线分析器从一门课程学到的内容：每个已标注错误的记录编号和学生编号、去除姓名后的词干，以及标注",
        ),
        Words(
            "to link mistakes and to name their kinds without a model",
            "不用模型也能关联错误并说明其类型",
        ),
        Words("until it is dropped", "直到被弃用删除"),
        eraser="fits",
        exporter="fits",
        left=Words(
            "a file of labels is yours: a fit from one that still names the person has the rows again, until "
            "`edugraph erasures replay`",
            "标注文件属于贵方：若其中仍有此人，再次学习会带回这些行，直到执行 `edugraph erasures replay`",
        ),
    ),
    DataPlace(
        "blobs.dead_letters",
        Store.BLOBS,
        ("dead/*",),
        "personal",
        Words("messages that were given up, with the reason", "放弃处理的消息及原因"),
        Words("an operator decides: replay or drop", "由操作者决定重放或丢弃"),
        Words("until somebody decides, 30 days at most", "直到有人决定，最多 30 天"),
        retention="EDUGRAPH_DEAD_LETTER_RETENTION_DAYS",
        eraser="dead_letters",
        left=Words(
            "a letter that is stored after an erasure is cleaned within minutes",
            "删除之后存储的死信会在几分钟内清理",
        ),
        exporter="dead_letters",
    ),
    DataPlace(
        "blobs.being_written",
        Store.BLOBS,
        ("jobs/*.part-*",),
        "personal",
        Words(
            "a file while it is being uploaded or written; in S3 the parts of an upload, which have no key",
            "正在上传或写入的文件；在 S3 中是上传的分段，没有键",
        ),
        Words("a blob appears whole or not at all", "文件要么完整出现，要么不出现"),
        Words(
            "until it is written; what broke off, 30 days. In S3 a lifecycle rule of the bucket deletes the parts "
            "that a killed process leaves",
            "直到写完；中断的保留 30 天。在 S3 中，进程被强制终止后留下的分段由存储桶的生命周期规则删除",
        ),
        retention="EDUGRAPH_SOURCE_RETENTION_DAYS",
        eraser="files",
        left=Words(
            "what is being written is reported: erase again when no upload runs",
            "正在写入的会报告：没有上传时再删除一次",
        ),
    ),
    DataPlace(
        "blobs.sources",
        Store.BLOBS,
        ("jobs/*/source.*", "jobs/*/rows.zst"),
        "personal",
        Words(
            "the rows of uploaded files and of JSON bodies above 64 KiB; uploaded files as they came until they are "
            "split, or as long as their rows where EDUGRAPH_KEEP_UPLOADS says so",
            "上传文件和 64 KiB 以上 JSON 请求体的行；上传的原始文件只保留到拆分为止，"
            "设置 EDUGRAPH_KEEP_UPLOADS 时与其行保留同样久",
        ),
        Words("to import, to resume, and to analyse by reference", "导入、恢复以及按引用分析"),
        Words("30 days, and not before their job has ended", "30 天，且不早于任务结束"),
        retention="EDUGRAPH_SOURCE_RETENTION_DAYS",
        eraser="files",
        exporter="files",
        left=Words(
            "files of a job that has not ended are cleaned when it has",
            "未结束任务的文件在任务结束后清理",
        ),
    ),
    DataPlace(
        "blobs.persons",
        Store.BLOBS,
        ("jobs/*/persons",),
        "pseudonymous",
        Words(
            "hashes of the ids that stand in the rows of a file, and of pieces of texts that may name somebody "
            "without an id",
            "文件各行中编号的哈希值，以及未带编号而提到某人的文本片段的哈希值",
        ),
        Words(
            "to open only files that can name a person who is erased or exported",
            "删除或导出时只打开可能提到此人的文件",
        ),
        _WITH_SOURCES,
        retention="EDUGRAPH_SOURCE_RETENTION_DAYS",
        eraser="files",
    ),
    DataPlace(
        "blobs.rejects",
        Store.BLOBS,
        ("jobs/*/rejects/*",),
        "personal",
        Words("rejected rows as they came, with the reason", "被拒绝的原始行及原因"),
        Words("to correct them and to send them again", "更正后重新发送"),
        Words("30 days", "30 天"),
        retention="EDUGRAPH_REJECT_RETENTION_DAYS",
        eraser="files",
        left=Words(
            "rows that cannot be decoded and have the id as a word are listed",
            "无法解码且含有该编号的行会列出",
        ),
        exporter="files",
    ),
    DataPlace(
        "blobs.exports",
        Store.BLOBS,
        ("exports/*",),
        "personal",
        Words("what was exported of one person", "导出的个人数据"),
        Words("to hand it to the person", "交给本人"),
        Words(
            "until it is fetched, or somebody is erased; a day at most",
            "直到被取走或有人被删除；最多一天",
        ),
        eraser="files",
    ),
    DataPlace(
        "blobs.plans",
        Store.BLOBS,
        ("jobs/*/mapping.json", "jobs/*/reading.json"),
        "pseudonymous",
        Words(
            "which column is which field, the header of a table, and constants, among which an id may stand",
            "哪一列对应哪个字段、表头，以及常量（其中可能有编号）",
        ),
        Words("to read the file the same way each time", "每次以同样方式读取文件"),
        _WITH_SOURCES,
        retention="EDUGRAPH_SOURCE_RETENTION_DAYS",
        eraser="files",
    ),
    DataPlace(
        "blobs.jobs",
        Store.BLOBS,
        ("jobs/*/job.json", "jobs/*/analysis.json"),
        "pseudonymous",
        Words(
            "the job's message without records, with the name of the client that sent it and a hash of whose key it "
            "is; of a file outside its URL (without a query), size and etag",
            "不含记录的任务消息，其中有发送者的客户端名称和密钥所属人编号的散列值；"
            "外部文件的网址（不含查询部分）、大小和 etag",
        ),
        Words("to bring a job back if Redis loses it", "Redis 丢失任务时将其恢复"),
        _WITH_SOURCES,
        retention="EDUGRAPH_SOURCE_RETENTION_DAYS",
        left=Words("the operator chose the name of the file", "文件名由操作者决定"),
    ),
    DataPlace(
        "blobs.erasures",
        Store.BLOBS,
        ("erasures/*",),
        "pseudonymous",
        Words(
            "a keyed hash of the id of an erased student, and when",
            "被删除学生编号的带密钥散列值和时间",
        ),
        Words(
            "to bring erasures into a graph that is restored from an older backup",
            "把删除带入由旧备份恢复的图谱",
        ),
        Words("until the student is admitted again", "直到重新接纳此学生"),
        left=Words(
            "without it, a restored backup would undo the erasure", "没有它，恢复备份就会使删除失效"
        ),
    ),
    DataPlace(
        "blobs.undos",
        Store.BLOBS,
        ("undos/*",),
        "none",
        _NO_PERSON,
        Words(
            "to undo imports again in a graph that is restored from an older backup",
            "在由旧备份恢复的图谱中再次撤销导入",
        ),
        Words("for ever", "永久"),
    ),
    DataPlace(
        "blobs.marks",
        Store.BLOBS,
        ("jobs/*/index", "jobs/*/cancelled", "jobs/*/contexts/*"),
        "none",
        _NO_PERSON,
        Words(
            "where batches are in the file; that a job was cancelled",
            "批次在文件中的位置；任务已取消的标记",
        ),
        _WITH_SOURCES,
        retention="EDUGRAPH_SOURCE_RETENTION_DAYS",
    ),
)

_REDIS = (
    DataPlace(
        "redis.job",
        Store.REDIS,
        ("edugraph:job:{*}",),
        "personal",
        Words(
            "state and counts of a job, the name of its file, names of columns or events, the last error",
            "任务的状态和计数、文件名、列名或事件名、最近的错误",
        ),
        _SERVE_JOBS,
        _JOB_LIFE,
        retention="EDUGRAPH_JOB_RETENTION_DAYS",
        eraser="jobs",
        exporter="jobs",
    ),
    DataPlace(
        "redis.job_tasks",
        Store.REDIS,
        ("edugraph:job:{*}:tasks",),
        "personal",
        Words(
            "what `resume` sends again: of a body up to 64 KiB its records",
            "恢复时重新发送的内容：64 KiB 以下的请求体含其记录",
        ),
        _SERVE_JOBS,
        Words(
            "records: until the job has succeeded; a week after any other end",
            "记录：直到任务成功；其他结束方式则再保留一周",
        ),
        retention="EDUGRAPH_JOB_RETENTION_DAYS",
        eraser="jobs",
        exporter="jobs",
    ),
    DataPlace(
        "redis.job_outcomes",
        Store.REDIS,
        ("edugraph:job:{*}:batches", "edugraph:job:{*}:errors"),
        "personal",
        Words(
            "outcomes of batches, and the first rejects with the value at fault",
            "批次结果，以及最先被拒绝的行和出错的值",
        ),
        _SERVE_JOBS,
        _JOB_LIFE,
        retention="EDUGRAPH_JOB_RETENTION_DAYS",
        eraser="jobs",
        exporter="jobs",
    ),
    DataPlace(
        "redis.job_counts",
        Store.REDIS,
        (
            "edugraph:job:{*}:windows",
            "edugraph:job:{*}:packs",
            "edugraph:job:{*}:analysed",
            "edugraph:job:{*}:to_analyse",
            "edugraph:job:{*}:packs_in_queue",
            "edugraph:jobs",
            "edugraph:cost:*",
            "edugraph:acceptance",
        ),
        "none",
        _NO_PERSON,
        Words(
            "windows, packs and costs of jobs; the last acceptance number",
            "任务的窗口、分组和费用；最近的接收序号",
        ),
        Words(
            "as the job; costs 90 days; the number stays", "与任务相同；费用 90 天；序号一直保留"
        ),
        retention="EDUGRAPH_JOB_RETENTION_DAYS",
    ),
    DataPlace(
        "redis.deliveries",
        Store.REDIS,
        ("edugraph:delivered:*",),
        "none",
        _NO_PERSON,
        Words(
            "when the last messages of each queue were published",
            "每个队列最近取走的消息的发布时间",
        ),
        Words("ten times for each queue", "每个队列十个时间"),
    ),
    # An erasure empties the permits before it looks for results, so it misses no draft (docs/adr/0150).
    DataPlace(
        "redis.draft_permits",
        Store.REDIS,
        ("edugraph:draft-permit:*",),
        "personal",
        Words(
            "ids of the students about whom a caller may have a draft written, or whom a question in words names",
            "可让模型为调用者撰写草稿的学生的编号，或用文字提出的问题所提到的学生的编号",
        ),
        Words(
            "to write drafts only for those who lead the students, and none about an erased student; to read only "
            "texts whose names were replaced",
            "只为带这些学生的教师撰写草稿，且不撰写关于已删除学生的草稿；只读取已替换姓名的文字",
        ),
        Words("15 minutes", "15 分钟"),
        eraser="results",
    ),
    DataPlace(
        "redis.results",
        Store.REDIS,
        ("celery-task-meta-*",),
        "personal",
        Words(
            "results of tasks: outcomes with rejects, counts of findings, drafts, how much an erasure removed",
            "任务结果：含被拒绝行的批次结果、发现的数量、草稿、删除的数量",
        ),
        Words("to answer for a task", "查询任务结果"),
        Words("7 days", "7 天"),
        retention="EDUGRAPH_RESULT_RETENTION_DAYS",
        eraser="results",
        exporter="results",
    ),
    DataPlace(
        "redis.chords",
        Store.REDIS,
        ("celery-taskset-meta-*", "chord-unlock-*"),
        "personal",
        Words(
            "the outcomes of the batches of one window, until all are there",
            "一个窗口内各批次的结果，直到全部到齐",
        ),
        _TASKS,
        Words("until the window is done, 7 days at most", "直到窗口完成，最多 7 天"),
        left=Words(
            "it ends with its window, which a change would break",
            "随窗口结束；改写其成员会破坏窗口",
        ),
    ),
    DataPlace(
        "redis.answers",
        Store.REDIS,
        ("edugraph:llm:answer:*",),
        "personal",
        Words(
            "answers of the model with quotes of redacted texts, under a hash of the question",
            "模型答复及已脱敏文本的引文，以问题的散列值为键",
        ),
        Words("a text is paid once", "同一文本只付费一次"),
        Words("30 days", "30 天"),
        retention="EDUGRAPH_CACHE_TTL_SECONDS",
        eraser="answers",
    ),
    DataPlace(
        "redis.members",
        Store.REDIS,
        ("edugraph:{members}:names:*",),
        "personal",
        Words("names of the people of each course", "每门课程的人员姓名"),
        Words("no text leaves with such a name", "文本不带着这些姓名离开"),
        _TOLD_LIFE,
        eraser="members",
        left=Words("the graph has what they are made of", "图谱中有其来源"),
    ),
    DataPlace(
        "redis.restricted",
        Store.REDIS,
        ("edugraph:{members}:restricted", "edugraph:{members}:restricted-known"),
        "personal",
        Words("the ids of students who are restricted", "被限制处理的学生的编号"),
        Words(
            "nothing of them is read by the model, or shown",
            "模型不阅读、网关不显示这些学生的任何内容",
        ),
        _TOLD_LIFE,
        eraser="members",
        left=Words("the graph says who is restricted", "图谱中有限制标记"),
    ),
    DataPlace(
        "redis.members_known",
        Store.REDIS,
        (
            "edugraph:{members}:known:*",
            "edugraph:{members}:epoch",
        ),
        "none",
        _NO_PERSON,
        Words("which of those lists are whole", "哪些名单是完整的"),
        Words("a day; the number of erasures for ever", "一天；删除的次数永久"),
    ),
    DataPlace(
        "redis.course_contexts",
        Store.REDIS,
        ("edugraph:{members}:context:*",),
        "pseudonymous",
        Words(
            "name, description and known points of courses; a description may name people",
            "课程的名称、简介和已知知识点；简介中可能提到人",
        ),
        Words("whoever reads a text knows what its course is about", "阅读文本时了解其课程的内容"),
        Words("ten minutes, or until somebody is erased", "十分钟，或直到有人被删除"),
        eraser="members",
        left=Words("the graph has what they are made of", "图谱中有其来源"),
    ),
    DataPlace(
        "redis.members_asked",
        Store.REDIS,
        ("edugraph:{members}:asked:*",),
        "none",
        _NO_PERSON,
        Words("which of those lists somebody has just asked for", "刚刚请求过哪些名单"),
        _SECONDS,
    ),
    DataPlace(
        "redis.graph_changes",
        Store.REDIS,
        ("edugraph:graph-changes",),
        "none",
        _NO_PERSON,
        Words(
            "which courses each change of the graph concerns, with a random word for each",
            "图谱的每次变更涉及哪些课程，每次变更有一个随机标识",
        ),
        Words("the last 10,000 changes", "最近 10000 次变更"),
    ),
    DataPlace(
        "redis.asking",
        Store.REDIS,
        (
            "edugraph:llm:lease:*",
            "edugraph:llm:form:*",
            "edugraph:llm:refusal:*",
            "edugraph:llm:stats",
            "edugraph:llm:batch:*",
            "edugraph:llm:batched:*",
            "edugraph:limit:*",
        ),
        "none",
        _NO_PERSON,
        Words(
            "who asks the model just now, what it accepts, which batch of the provider has a pack, the rate limiter",
            "谁正在询问模型、模型接受什么、哪个批处理包含哪个分组、限速",
        ),
        _SECONDS,
    ),
    DataPlace(
        "redis.clients",
        Store.REDIS,
        (
            "edugraph:idempotency:*",
            "edugraph:turns:*",
        ),
        "pseudonymous",
        Words("who sent a request, a fingerprint of its body", "请求的发送者、请求体的指纹"),
        Words(
            "to take a request once, and no more than a client may send",
            "同一请求只接受一次，并限制请求速率",
        ),
        Words("a day", "一天"),
        left=Words(
            "the fingerprint is a hash of a whole body, for a day",
            "指纹是整个请求体的散列值，保留一天",
        ),
    ),
    DataPlace(
        "redis.reading_turns",
        Store.REDIS,
        ("edugraph:reading-turns:*",),
        "pseudonymous",
        Words(
            "when a key or a person who logs in last asked insights",
            "密钥或登录者最近一次查询 insights 的时间",
        ),
        Words("no more questions than a caller may ask", "限制调用者的查询速率"),
        Words("minutes", "数分钟"),
        left=Words("it names a caller, and ends after minutes", "其中是调用者，几分钟后消失"),
    ),
    DataPlace(
        "redis.keys",
        Store.REDIS,
        ("edugraph:keys", "edugraph:keys-made"),
        "pseudonymous",
        Words(
            "API keys as hashes with their names, roles, the id of the teacher or student whose key it is, and the "
            "mail address that an operator gave it",
            "API 密钥的散列值、名称、角色、所属教师或学生的编号，以及运维人员填写的邮件地址（如有）",
        ),
        Words("to let callers in", "验证调用者"),
        Words("until they are revoked", "直到撤销"),
        left=Words(
            "a key is of a caller, and ends when it is revoked", "密钥属于调用者，撤销后即失效"
        ),
    ),
    DataPlace(
        "redis.sources",
        Store.REDIS,
        ("edugraph:sources", "edugraph:sources-used", "edugraph:source-cursors"),
        "pseudonymous",
        Words(
            "the sources of data with their settings, which API keys or accounts may write them, and how far each "
            "was pulled",
            "数据来源及其设置、可以写入的 API 密钥或账户，以及各来源已拉取到何处",
        ),
        Words("to keep the records of each source apart", "区分各来源的记录"),
        Words("as long as the installation", "与系统同样久"),
        left=Words("it names callers and no student", "其中是调用者，而非学生"),
    ),
    DataPlace(
        "redis.statements",
        Store.REDIS,
        ("edugraph:{members}:statements:*",),
        "personal",
        Words(
            "the xAPI statements of the last ten minutes, as they were sent",
            "最近十分钟收到的 xAPI 语句，保持发送时的内容",
        ),
        Words(
            "to see that a statement was sent twice, and to show one by its id",
            "识别重复发送的语句，并按编号显示语句",
        ),
        Words(
            "ten to twenty minutes, or until somebody is erased", "十至二十分钟，或直到有人被删除"
        ),
        eraser="members",
        left=Words(
            "a statement that is accepted during an erasure stays for its ten minutes; the graph refuses it",
            "删除期间收到的语句会保留十分钟；图谱拒绝写入",
        ),
    ),
    DataPlace(
        "redis.statement_moments",
        Store.REDIS,
        ("edugraph:statement-moments:*",),
        "pseudonymous",
        Words(
            "the ids that statements without id and time were given, by hashes of their contents",
            "没有编号和时间的语句所获得的编号，以内容的散列值为键",
        ),
        Words("to take such a statement once", "使这样的语句只写入一次"),
        Words("twenty minutes at most", "最多二十分钟"),
        left=Words("a hash of a whole statement, for minutes", "整条语句的散列值，只保留数分钟"),
    ),
    DataPlace(
        "redis.live_counts",
        Store.REDIS,
        ("edugraph:live-counts:*",),
        "none",
        _NO_PERSON,
        Words("how much each source sent live on each day", "各来源每天实时发送的数量"),
        Words("40 days", "40 天"),
    ),
    DataPlace(
        "redis.live_waiting",
        Store.REDIS,
        ("edugraph:live-waiting:*",),
        "none",
        _NO_PERSON,
        Words(
            "when the live rows of each source were accepted that are not written yet, and whether some were put off",
            "各来源尚未写入的实时数据是何时接收的，以及其中是否有被推迟的",
        ),
        Words("until they are written, 40 days at most", "直到写入为止，最多 40 天"),
    ),
    DataPlace(
        "redis.live_texts",
        Store.REDIS,
        ("edugraph:live-texts:*",),
        "none",
        _NO_PERSON,
        Words(
            "how many live texts of each source are analysed on each day",
            "各来源每天分析多少条实时文本",
        ),
        Words("8 days", "8 天"),
    ),
    DataPlace(
        "redis.live_turns",
        Store.REDIS,
        ("edugraph:live-turns:*",),
        "none",
        _NO_PERSON,
        Words(
            "when packs of live texts may be sent to the model",
            "实时文本的各个分析包何时可以发给模型",
        ),
        Words(
            "until the pack is analysed or given up, otherwise 8 days after its turn",
            "直到该包分析完毕或被放弃，否则到轮到它之后 8 天",
        ),
    ),
    DataPlace(
        "redis.sessions",
        Store.REDIS,
        ("edugraph:session:*", "edugraph:sessions"),
        "personal",
        Words(
            "who has signed in on the page: the name and the tokens of the issuer or the learning platform, with "
            "what these put into them, encrypted with a key that only the browser has; accounts, and when their "
            "sessions began and end",
            "已在页面登录的人：姓名和身份提供方或学习平台的令牌及其内容，以只有浏览器持有的密钥加密；"
            "还有账户及其会话的开始和结束时间",
        ),
        Words("to let people in who have signed in", "识别已登录的人"),
        Words(
            "until the session ends: at signing out, or 2 hours after signing in",
            "直到会话结束：退出登录，或登录后 2 小时",
        ),
        retention="EDUGRAPH_SESSION_MINUTES",
        left=Words(
            "a session is of a caller, and ends by itself; a student who was erased is shown nothing by it",
            "会话属于调用者，到期自行结束；已被删除的学生通过它看不到任何内容",
        ),
    ),
    DataPlace(
        "redis.lti_nonces",
        Store.REDIS,
        ("edugraph:lti-nonce:*",),
        "none",
        _NO_PERSON,
        Words(
            "which launches of a learning platform were used, by a hash of a random value",
            "学习平台的哪些启动已被使用（以随机值的散列表示）",
        ),
        Words("11 minutes", "11 分钟"),
    ),
    DataPlace(
        "redis.views",
        Store.REDIS,
        ("edugraph:views:*",),
        "personal",
        Words(
            "views and lists of students that a caller saved: a name of theirs, what was asked, in which the id of a "
            "student or a record may stand, and the caller's own id",
            "调用者保存的视图和学生名单：自取的名称、查询内容（其中可能有学生或记录的编号），以及调用者自己的编号",
        ),
        Words("to come back to what one looked at", "回到曾经查看的内容"),
        Words(
            "365 days after the owner looked at the list or changed it last",
            "所有者最后一次查看列表或更改之后 365 天",
        ),
        retention="EDUGRAPH_VIEW_RETENTION_DAYS",
        eraser="views",
        exporter="views",
        left=Words(
            "whoever saves the id again from a page that is still open has it: erase again. Views of a key that was "
            "revoked are seen by nobody, and end by themselves",
            "若有人从仍打开的页面再次保存该编号，请再删除一次。已撤销密钥的视图无人可见，到期自行消失",
        ),
    ),
    DataPlace(
        "redis.digests",
        Store.REDIS,
        ("edugraph:digests:*",),
        "personal",
        Words(
            "teachers who get a weekly mail: their id, their mail address, the course, the id of the saved view, and "
            "the language",
            "订阅每周邮件的教师：其编号、邮件地址、课程、所保存视图的编号和语言",
        ),
        Words("to send a teacher the weekly mail of a course", "向教师发送课程的每周邮件"),
        Words(
            "until the teacher ends it, deletes its view or leads nobody there for six days, or 180 days after they "
            "last looked at it",
            "直到教师退订、删除其视图或连续六天不再带其中的学生，或教师最后一次查看之后 180 天",
        ),
        retention="EDUGRAPH_DIGEST_RETENTION_DAYS",
        eraser="digests",
        exporter="digests",
        left=Words(
            "mails that were sent are in the mailboxes of their receivers",
            "已发送的邮件在收件人的邮箱中",
        ),
    ),
    DataPlace(
        "redis.digest_owners",
        Store.REDIS,
        ("edugraph:digest-owners",),
        "pseudonymous",
        Words(
            "which account or API key has which subscription to a weekly mail",
            "每个每周邮件订阅属于哪个账户或 API 密钥",
        ),
        Words("to end a subscription by the link in a mail", "通过邮件中的链接退订"),
        Words(
            "until the run of the command after the end of the subscription",
            "直到订阅结束后该命令的下一次运行",
        ),
        left=Words(
            "it names an account and a random number; the next run of the command deletes it",
            "其中只有账户和随机编号；该命令下一次运行时删除",
        ),
    ),
    DataPlace(
        "redis.digest_mails",
        Store.REDIS,
        ("edugraph:digest-mail:*", "edugraph:digest-counts"),
        "none",
        _NO_PERSON,
        Words(
            "whether the mail or the message to a chat of a week was sent, how many were, and since when what a mail "
            "is about is absent, by random numbers",
            "某周的邮件或聊天消息是否已发送、发送数量，以及邮件所涉及的内容从何时起不存在（以随机编号表示）",
        ),
        Words("30 days; the numbers for ever", "30 天；数量永久保留"),
    ),
    DataPlace(
        "redis.action_permits",
        Store.REDIS,
        ("edugraph:action-permit:*",),
        "pseudonymous",
        Words(
            "a hash of the caller, the student and the course of an action that the caller may write",
            "调用者可以写入的一项处理的散列值（由调用者、学生和课程得出）",
        ),
        Words(
            "to let only those who lead a student write what they did",
            "只让带该学生的教师写入其处理情况",
        ),
        Words("5 minutes", "5 分钟"),
        left=Words(
            "it ends by itself after five minutes, and opens nothing: no action about an erased student is written",
            "五分钟后自行失效，且不能再写入：不会写入关于已删除学生的处理",
        ),
    ),
    DataPlace(
        "redis.task_owners",
        Store.REDIS,
        ("edugraph:task-owner:*",),
        "pseudonymous",
        Words("which API key sent a task", "任务由哪个 API 密钥发送"),
        Words("to show the result of a task to its sender alone", "任务结果只向其发送者显示"),
        Words("7 days", "7 天"),
        left=Words("it names a client and no student", "其中是客户端，而非学生"),
    ),
    DataPlace(
        "redis.audit",
        Store.REDIS,
        ("edugraph:audit:entries",),
        "pseudonymous",
        Words(
            "who did or read what, when, why and how it ended; students and what was read as HMAC",
            "谁在何时因何做了或读了什么、结果如何；学生和被读对象以 HMAC 表示",
        ),
        Words("to show who did what cannot be undone", "证明谁做了不可撤销的操作"),
        Words("365 days, the last 100,000 entries", "365 天，最近 100,000 条"),
        retention="EDUGRAPH_AUDIT_RETENTION_DAYS",
        left=Words("it must show that an erasure took place", "必须能证明删除确已进行"),
        exporter="audit",
    ),
    DataPlace(
        "redis.audit_ended",
        Store.REDIS,
        ("edugraph:audit:ended",),
        "none",
        _NO_PERSON,
        Words(
            "the number and the hash of the last entry of the audit log that has ended",
            "审计日志中最后一条已过期记录的序号和散列值",
        ),
        Words("for ever", "永久"),
    ),
    DataPlace(
        "redis.audit_keys",
        Store.REDIS,
        ("edugraph:audit-*",),
        "none",
        _NO_PERSON,
        Words(
            "the key of the audit log's HMACs, and how much a client noted today",
            "审计日志 HMAC 的密钥和客户端当日的条数",
        ),
        Words("two days; the key for ever", "两天；密钥永久"),
    ),
    DataPlace(
        "redis.logged",
        Store.REDIS,
        ("edugraph:logged:*",),
        "none",
        _NO_PERSON,
        Words(
            "random ids of changes of leaders and of claims to ids that are in the audit log",
            "已写入审计日志的班组负责人变更和编号归属声明变更的随机编号",
        ),
        Words("30 days", "30 天"),
    ),
    DataPlace(
        "redis.to_clean",
        Store.REDIS,
        ("edugraph:erasing:*",),
        "pseudonymous",
        Words(
            "jobs that ran while somebody in their files was erased, and hashes of the ids of such records",
            "运行期间其文件中有人被删除的任务，以及这些记录编号的散列值",
        ),
        Words(
            "to clean the job's files and results when it has ended", "任务结束后清理其文件和结果"
        ),
        Words("until a minute after the job", "直到任务结束后一分钟"),
        left=Words("it goes when the job has been cleaned", "任务清理后即消失"),
    ),
    DataPlace(
        "redis.turns",
        Store.REDIS,
        (
            "edugraph:reaping",
            "edugraph:erasing",
            "edugraph:settling",
            "edugraph:sweeping",
            "edugraph:swept",
            "edugraph:ending-records",
        ),
        "none",
        _NO_PERSON,
        Words(
            "one process at a time looks for lost jobs, changes files, or derives prerequisites",
            "同一时间只有一个进程查找丢失的任务、更改文件，或推导先修关系",
        ),
        _SECONDS,
    ),
    DataPlace(
        "redis.dead_letters",
        Store.REDIS,
        ("edugraph:{dead-letters}:*",),
        "none",
        Words(
            "of each dead letter: queue, task, job, reason, tries and time; which letters were deleted, and which "
            "are being changed",
            "每封死信的队列、任务、作业、原因、次数和时间；哪些已删除，哪些正在更改",
        ),
        Words(
            "to list and find dead letters; the letters themselves are files",
            "列出和查找死信；死信本身是文件",
        ),
        Words("as long as the letter, 30 days at most", "与死信相同，最多 30 天"),
        retention="EDUGRAPH_DEAD_LETTER_RETENTION_DAYS",
    ),
    DataPlace(
        "redis.held",
        Store.REDIS,
        ("edugraph:held:*",),
        "none",
        _NO_PERSON,
        Words(
            "which workers take no messages, and which server they wait for",
            "哪些工作进程不取消息，以及在等待哪个服务器",
        ),
        Words("100 seconds after the last report", "最后一次报告后 100 秒"),
    ),
    DataPlace(
        "redis.embedded_broker",
        Store.REDIS,
        (
            "_kombu.*",
            "unacked*",
            "data_import*",
            "import_splits*",
            "live_records*",
            "graph_findings*",
            "llm_analysis*",
            "*.pidbox",
            "*.celery.pidbox",
        ),
        "personal",
        Words(
            "messages, in the embedded run, which has no RabbitMQ",
            "消息（仅内嵌运行时，没有 RabbitMQ）",
        ),
        _TASKS,
        Words("until the demo ends", "直到演示结束"),
        left=Words("the embedded run deletes its folder", "内嵌运行会删除自己的目录"),
    ),
)

_QUEUES = (
    DataPlace(
        "queues.tasks",
        Store.QUEUES,
        (
            "data_import",
            "import_splits",
            "live_records",
            "graph_findings",
            "llm_analysis",
            "celery_delayed_*",
        ),
        "personal",
        Words(
            "messages that wait: records of small bodies, live records, texts to analyse, findings, ids to erase",
            "等待中的消息：小请求体的记录、实时记录、待分析的文本、发现、待删除的编号",
        ),
        _TASKS,
        Words("until they are done; a job's deadline is a week", "直到完成；任务期限为一周"),
        left=Words(
            "a message cannot be taken out of the middle of a queue; whoever does it later finds the tombstone, "
            "writes nothing of the person, and keeps no value of a wrong row",
            "消息不能从队列中间取出；之后处理它的进程会遇到墓碑，不写入此人的任何内容，也不保留错误行中的任何值",
        ),
    ),
    DataPlace(
        "queues.dead",
        Store.QUEUES,
        (
            "data_import.dead",
            "import_splits.dead",
            "live_records.dead",
            "graph_findings.dead",
            "llm_analysis.dead",
        ),
        "personal",
        Words("messages that were given up and are not stored yet", "已放弃处理、尚未存储的消息"),
        Words("the way into the store of dead letters", "进入死信存储的通道"),
        Words(
            "until a worker, or whoever reads dead letters next, has stored them; 30 days at most",
            "直到工作进程或下一个读取死信的进程将其存储，最多 30 天",
        ),
        retention="EDUGRAPH_DEAD_LETTER_RETENTION_DAYS",
        eraser="dead_letters",
        exporter="dead_letters",
    ),
    DataPlace(
        "queues.worker_reports",
        Store.QUEUES,
        ("worker_reports",),
        "none",
        _NO_PERSON,
        Words("which servers a worker can use", "工作进程能使用哪些服务器"),
        Words("seconds, while a gateway runs", "有网关时为数秒"),
    ),
    DataPlace(
        "queues.events",
        Store.QUEUES,
        (
            "edugraph.webhooks",
            "edugraph.webhooks.after_*s",
            "celeryev.*",
            "*.pidbox",
            "*.reply.*",
            "edugraph.control*",
        ),
        "none",
        Words(
            "events: ids and states of jobs, batches, tasks; reasons",
            "事件：任务、批次的编号和状态；原因",
        ),
        Words("to tell listeners and the webhook", "通知监听者和网络回调"),
        Words("a day", "一天"),
    ),
)

_ELSEWHERE = (
    DataPlace(
        "process.logs",
        Store.PROCESS,
        ("log", "metric", "trace"),
        "none",
        Words(
            "no text, name or id of a record (a test of canaries holds it); the audit log's lines have hashes",
            "不含记录的文本、姓名或编号（由测试保证）；审计日志行含散列值",
        ),
        Words("operation", "运行维护"),
        Words("as your log store is set", "取决于日志系统的设置"),
    ),
    DataPlace(
        "process.caches",
        Store.PROCESS,
        ("memory",),
        "personal",
        Words(
            "what a process works on just now; a list of the members of a course, where one is given",
            "进程正在处理的内容；提供时还有课程成员名单",
        ),
        Words("work, and redaction", "处理和脱敏"),
        Words("until the task ends", "直到任务结束"),
        left=Words("it ends with the task", "随任务结束"),
    ),
    DataPlace(
        "process.answers",
        Store.PROCESS,
        ("memory of insights",),
        "personal",
        Words(
            "answers of insights; one is given only to who may see all the same students",
            "insights 的答复；仅返回给可查看完全相同学生的调用者",
        ),
        Words("the same question is not computed twice", "同一问题不重复计算"),
        Words("60 seconds; after an erasure none is given any more", "60 秒；删除之后不再返回"),
        left=Words(
            "an erasure ends them at once, and they leave the memory after a minute",
            "删除后立即失效，一分钟内从内存中清除",
        ),
    ),
    DataPlace(
        "process.columns",
        Store.PROCESS,
        ("tables in the memory of insights",),
        "personal",
        Words(
            "ids of students, their attempts with times, outcomes and marks of equal answers, and the times of their "
            "mistakes, by course; a question reads those of its permitted students only",
            "按课程保存的学生编号、其作答的时间和结果、相同答案的标记，以及错误的时间；每个问题只读取允许查看的学生的数据",
        ),
        Words(
            "questions about a whole course are computed without reading its attempts in the graph again",
            "计算整门课程的问题时不必再次从图谱读取作答",
        ),
        Words(
            "11 minutes after the last question about the course; after an erasure, until the next question about "
            "the course, and 11 minutes at most",
            "关于该课程的最后一个问题之后 11 分钟；删除之后直到关于该课程的下一个问题，最多 11 分钟",
        ),
        left=Words(
            "after an erasure no question reads them; they leave the memory with the next question about the course, "
            "and after 11 minutes without one",
            "删除之后不再被任何问题读取；在关于该课程的下一个问题时从内存中清除，若无问题则在 11 分钟后清除",
        ),
    ),
    DataPlace(
        "process.files",
        Store.PROCESS,
        ("temporary file",),
        "personal",
        Words(
            "the workbook that a task reads; the versions of records that an undo compares; the part of an upload to "
            "S3 that is being filled; an archive that the command line unpacks",
            "任务正在读取的工作簿；撤销导入时比较的记录版本；正在填充的 S3 上传分段；命令行解压的归档文件",
        ),
        Words("work on more than fits into memory", "处理超出内存容量的内容"),
        Words(
            "until the task ends; after a killed process, until its container or the system's temporary folder is "
            "cleared",
            "直到任务结束；进程被强制终止后，直到容器或系统临时目录被清空",
        ),
        left=Words("it ends with the task", "随任务结束"),
    ),
    DataPlace(
        "outside.webhook",
        Store.OUTSIDE,
        ("webhook",),
        "none",
        Words(
            "ids and states of jobs and dead letters, and nothing else of an event",
            "任务和死信的编号与状态，别无其他",
        ),
        Words("to tell your own system", "通知贵方系统"),
        Words("as the receiver keeps it", "取决于接收方"),
    ),
    DataPlace(
        "outside.provider",
        Store.OUTSIDE,
        ("provider",),
        "personal",
        Words("redacted texts, if a provider is set", "已脱敏的文本（如配置了模型服务）"),
        Words("to read what a text is about", "理解文本内容"),
        Words("as your contract with the provider says", "取决于与服务商的合同"),
        left=Words("ask the provider", "请联系服务商"),
    ),
    DataPlace(
        "outside.provider_files",
        Store.OUTSIDE,
        ("provider file",),
        "personal",
        Words(
            "files of the provider's batches with redacted texts and answers, of jobs with `--economy`",
            "服务商批处理文件中已脱敏的文本和答复（使用 `--economy` 的任务）",
        ),
        Words("to read texts for less", "以较低价格阅读文本"),
        Words(
            "until the batch is over or cancelled, then they are deleted; they expire after three days in any case",
            "批处理结束或取消后即删除；无论如何三天后过期",
        ),
        retention="EDUGRAPH_BATCH_DEADLINE_SECONDS",
        left=Words(
            "what is under way is not taken out; an answer to an erased text is not kept",
            "进行中的批处理不被改写；已删除文本的答复不被保存",
        ),
    ),
    DataPlace(
        "outside.sources",
        Store.OUTSIDE,
        ("source",),
        "personal",
        Words(
            "files outside (EDUGRAPH_IMPORTS_FROM), and the platforms they come from",
            "外部文件（EDUGRAPH_IMPORTS_FROM）及其来源平台",
        ),
        Words("they are yours", "属于贵方"),
        Words("as you keep them", "由贵方决定"),
        left=Words(
            "EduGraph only reads them; the result names the jobs that did",
            "EduGraph 只读取它们；结果会列出读取过的任务",
        ),
    ),
    DataPlace(
        "outside.warehouse",
        Store.OUTSIDE,
        ("warehouse",),
        "personal",
        Words(
            "tables of `edugraph warehouse sync`: ids and names of students, their attempts, mistakes, messages, "
            "progress, activity and memberships without texts",
            "`edugraph warehouse sync` 写出的表：学生的编号和姓名，及其作答、错误、消息、进度、活动和班组成员关系"
            "（不含文本）",
        ),
        Words(
            "to answer questions about all courses with programs of your own",
            "用贵方自己的程序回答关于全部课程的问题",
        ),
        Words(
            "as the records of the graph, until the next sync after their end",
            "与图谱中的记录相同，直到其结束后的下一次同步",
        ),
        left=Words(
            "the next sync deletes the rows and all older files: let it run within the deadline of your erasures",
            "下一次同步会删除这些行和所有旧文件：请在贵方的删除期限之内运行它",
        ),
    ),
    DataPlace(
        "outside.backups",
        Store.OUTSIDE,
        ("backup", "dead letter archive"),
        "personal",
        Words(
            "copies of the graph, of Redis and of blobs, and files of `edugraph dead export`",
            "图谱、Redis、文件的备份，以及 `edugraph dead export` 的文件",
        ),
        Words("to come back after a loss", "丢失后恢复"),
        Words(
            "those of the chart for `backups.keepDays` (14 days), erased persons included; others as you keep them",
            "Helm chart 的备份按 `backups.keepDays`（14 天）保留，期间被删除的人也在其中；其他备份由贵方决定",
        ),
        left=Words("after a restore, erasures are brought in again", "恢复后重新执行删除"),
    ),
)

PLACES: tuple[DataPlace, ...] = (*_GRAPH, *_BLOBS, *_REDIS, *_QUEUES, *_ELSEWHERE)
