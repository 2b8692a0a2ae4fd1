"""A provider to test against: chat completions of the OpenAI API over HTTP/1.1, in a process of its own, with scripted faults.

    python tests/provider/server.py [--port 0] [--seed 1] [--script JSON]

Prints its address (http://127.0.0.1:PORT/v1) as the first line. It logs each request with its time of arrival:

    GET  /log              {"requests": [{number, at, seconds, model, step, items, texts, fault, status, [body]}]}
    GET  /log?bodies=1     with the bodies as they came
    POST /v1/files, /v1/batches   the Batch API: a batch is over "batch_seconds" after it was created, and its requests
                           are logged as others are, with "batch": its id; one that is cancelled before has answered the
                           first "cancelled_after" of them. "batches": false: there are none
    GET  /stored           {"files": [ids], "batches": [ids]}
    POST /script           a new script (below); the numbering of requests starts again from 1; the log is emptied

A script is {"latency": seconds, "jitter": seconds more at most, "faults": [FAULT, …], "accepts": [steps], "models": [names],
"keys": [keys], "refuses": [parameters], "refusals": {word in the body: [status, message]},
"requires": {word that is not in the body: [status, message]}, "thinks": tokens that come
before each answer, "says": {beginning of the instructions: [texts]}, which answer such requests in turn, "stream_only": true, "most_tokens": largest limit, "headers": {…}, "usage": what is told in place of
the true numbers}; all of it optional. A FAULT is {"kind": K, "every": n, "at": k}: the
requests whose number is k modulo n; or {"kind": K, "first": n}; "kinds": [K, …] takes them in turn. Kinds: 429 (with
"retry_after": seconds), 500 and other statuses, "timeout", "cut" (half a response, then the connection ends), "not_json", "filter",
and the spoilt answers of fake_answers.py.
"""

import argparse
import asyncio
import email
import json
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import fake_answers  # beside this program, not in a package

_LONG = 3_600


@dataclass
class Provider:
    seed: int
    script: dict[str, Any]
    requests: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def begin(self, script: dict[str, Any]) -> None:
        self.script, self.requests, self.files, self.batches = script, [], {}, {}
        self.random = random.Random(self.seed)

    def fault(self, number: int) -> tuple[str, dict[str, Any]] | None:
        for fault in self.script.get("faults", ()):
            every, at = fault.get("every", 1), fault.get("at", 0)
            if number <= fault["first"] if "first" in fault else number % every == at:
                kinds = fault.get("kinds") or [fault["kind"]]
                return str(kinds[(number // every) % len(kinds)]), fault
        return None

    # --- the wire -------------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        arrived = (time.time(), time.monotonic())
        method, path, _ = head[0].split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if path.endswith("/chat/completions"):
            return await self._completion(writer, headers, body, arrived)
        if path.startswith(("/v1/files", "/v1/batches")):
            status, found = self._batching(
                method, path.partition("?")[0].removeprefix("/v1/"), headers, body
            )
            if isinstance(found, str):
                return await _send_text(writer, status, found, None, "application/octet-stream")
            return await _send(writer, status, found)
        status, answer = self._control(method, path, body)
        return await _send(writer, status, answer)

    def _control(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if method == "POST" and path == "/script":
            self.begin(json.loads(body))
            return 200, {}
        if path.startswith("/log"):
            hidden = () if path.endswith("bodies=1") else ("body",)
            return 200, {
                "requests": [
                    {k: v for k, v in request.items() if k not in hidden}
                    for request in self.requests
                ]
            }
        if path == "/stored":
            return 200, {"files": list(self.files), "batches": list(self.batches)}
        if path.endswith("/models"):
            return 200, {
                "object": "list",
                "data": [{"id": name, "object": "model"} for name in self._models()],
            }
        return 404, _error("no such path", "not_found")

    def _models(self) -> list[str]:
        return list(self.script.get("models", ["test-model"]))

    # --- files and batches -----------------------------------------------------------------------------------------

    def _batching(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, Any] | str]:
        what, _, rest = path.partition("/")
        named, _, action = rest.partition("/")
        kept = self.files if what == "files" else self.batches
        if status := self.script.get("batch_status"):
            return status, _error("scripted", "scripted")
        if not self.script.get("batches", True) or (named and named not in kept):
            return 404, _error("no such thing", "not_found")
        for batch in self.batches.values():
            self._go_on(batch)
        answer: dict[str, Any] | str
        if not named and method == "POST":
            answer = (
                self._uploaded(headers, body)
                if what == "files"
                else self._started(json.loads(body))
            )
        elif not named:
            newest = [_shown(each) for each in reversed(kept.values())]
            answer = {"object": "list", "data": newest, "has_more": False}
        elif action == "content":
            answer = str(kept[named]["text"])
        elif action == "cancel" and kept[named]["status"] not in ("in_progress", "cancelling"):
            return 409, _error("it is over", "conflict")
        elif method == "DELETE":
            del kept[named]
            answer = {"id": named, "object": "file", "deleted": True}
        else:
            kept[named]["status"] = "cancelling" if action == "cancel" else kept[named]["status"]
            answer = _shown(kept[named])
        return 200, answer

    def _file(self, name: str, text: str) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": f"file-{uuid.uuid4().hex}",
            "object": "file",
            "bytes": len(text),
            "created_at": int(time.time()),
        }
        self.files[made["id"]] = made | {
            "filename": name,
            "purpose": "batch",
            "status": "processed",
            "text": text,
        }
        return _shown(self.files[made["id"]])

    def _uploaded(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        form = email.message_from_bytes(
            b"Content-Type: " + headers["content-type"].encode() + b"\r\n\r\n" + body
        )
        parts = [part for part in form.walk() if part.get_filename()]
        return self._file(
            str(parts[0].get_filename()), bytes(parts[0].get_payload(decode=True)).decode()
        )

    def _started(self, asked: dict[str, Any]) -> dict[str, Any]:
        known = asked["input_file_id"] in self.files
        made: dict[str, Any] = {
            "id": f"batch-{uuid.uuid4().hex}",
            "object": "batch",
            "status": "in_progress" if known else "failed",
        }
        self.batches[made["id"]] = (
            made | asked | {"created_at": int(time.time()), "begun": time.monotonic()}
        )
        return _shown(self.batches[made["id"]])

    def _go_on(self, batch: dict[str, Any]) -> None:
        """Answer the requests of a batch whose time has come, or that is being cancelled."""
        lines = str(self.files.get(batch["input_file_id"], {}).get("text", "")).splitlines()
        seconds = time.monotonic() - batch["begun"]
        has_ended = seconds >= self.script.get("batch_seconds", 0)
        if batch["status"] == "cancelling":
            lines, status = lines[: self.script.get("cancelled_after", 0)], "cancelled"
        elif batch["status"] == "in_progress" and has_ended:
            status = "completed"
        else:
            return
        answered, refused = list[str](), list[str]()
        for line in lines:
            asked = json.loads(line)
            entry = self._log(
                asked["body"],
                json.dumps(asked["body"], ensure_ascii=False).encode(),
                (time.time(), 0),
            )
            fault = self.fault(entry["number"])
            code, kind = 200, fault[0] if fault else ""
            if kind.isdigit():
                code = int(kind)
            entry |= {"batch": batch["id"], "status": code, "fault": kind or None}
            answer = (
                _error("scripted", "scripted")
                if code != 200
                else self._completed(asked["body"], kind)
            )
            done = {
                "id": "r",
                "custom_id": asked["custom_id"],
                "response": {"status_code": code, "body": answer},
            }
            (answered if code == 200 else refused).append(json.dumps(done, ensure_ascii=False))
        batch["status"] = status
        for name, found in (("output_file_id", answered), ("error_file_id", refused)):
            if found:
                batch[name] = self._file(f"{name}.jsonl", "\n".join(reversed(found)))["id"]

    # --- completions ----------------------------------------------------------------------------------------------

    async def _completion(
        self,
        writer: asyncio.StreamWriter,
        headers: dict[str, str],
        body: bytes,
        arrived: tuple[float, float],
    ) -> bool:
        asked = json.loads(body)
        entry = self._log(asked, body, arrived)
        refused = self._refused(asked, headers)
        if refused:
            entry["status"] = refused[0]
            return await _send(writer, *refused)
        fault = self.fault(entry["number"])
        entry["limit"] = _limit(asked)
        entry["fault"] = fault[0] if fault else None
        await asyncio.sleep(
            self.script.get("latency", 0) + self.random.random() * self.script.get("jitter", 0)
        )
        return await self._answer(writer, asked, entry, fault)

    def _log(
        self, asked: dict[str, Any], body: bytes, arrived: tuple[float, float]
    ) -> dict[str, Any]:
        items = fake_answers.items_of(asked["messages"])
        entry = {
            "number": len(self.requests) + 1,
            "at": arrived[0],
            "seconds": arrived[1],
            "model": asked.get("model"),
            "step": _step(asked),
            "items": len(items),
            "texts": [text for _, text in items],
            "fault": None,
            "status": 200,
            "body": body.decode(),
        }
        self.requests.append(entry)
        return entry

    def _refused(
        self, asked: dict[str, Any], headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]] | None:
        """The first refusal that holds, with its error body."""
        script, step, limit = self.script, _step(asked), _limit(asked)
        key = headers.get("authorization", "").removeprefix("Bearer ")
        refusals: list[tuple[bool, int, str, str]] = [
            (
                key not in script.get("keys", (key,)),
                401,
                "Incorrect API key provided.",
                "invalid_api_key",
            ),
            (
                asked.get("model") not in script.get("models", (asked.get("model"),)),
                404,
                "The model does not exist.",
                "model_not_found",
            ),
            (
                script.get("stream_only", False) and not asked.get("stream"),
                400,
                "This model only supports stream mode, please enable the stream parameter.",
                "invalid_parameter_error",
            ),
            (
                limit > script.get("most_tokens", limit),
                400,
                f"max_tokens is too large: {limit}. This model supports at most {script.get('most_tokens')}.",
                "invalid_value",
            ),
            (
                step not in script.get("accepts", (step,)),
                400,
                f"response_format type {step} is not supported",
                "invalid_request_error",
            ),
        ]
        for word, (status, message) in script.get("refusals", {}).items():
            refusals.append((word in json.dumps(asked), status, message, "invalid_parameter_error"))
        for word, (status, message) in script.get("requires", {}).items():
            refusals.append(
                (word not in json.dumps(asked), status, message, "invalid_parameter_error")
            )
        for name in script.get("refuses", ()):
            other = "; use 'max_completion_tokens' instead" if name == "max_tokens" else ""
            message = f"Unsupported parameter: '{name}'{other}."
            refusals.append((name in asked, 400, message, "unsupported_parameter"))
        return next(
            ((status, _error(message, code)) for holds, status, message, code in refusals if holds),
            None,
        )

    async def _answer(
        self, writer: asyncio.StreamWriter, asked: dict[str, Any], entry: dict[str, Any], fault: Any
    ) -> bool:
        kind, details = fault or ("", dict[str, Any]())
        extra = dict(self.script.get("headers", {}))
        if kind.isdigit():
            entry["status"] = int(kind)
            if "retry_after" in details:
                extra["Retry-After"] = str(details["retry_after"])
            return await _send(
                writer, int(kind), _error("scripted", details.get("code", "scripted")), extra
            )
        if kind == "timeout":
            await asyncio.sleep(details.get("seconds", _LONG))
        if kind == "not_json":
            return await _send_text(writer, 200, "<html>gateway</html>", extra)
        if kind == "cut":
            return await _cut(writer)
        completed = self._completed(asked, kind)
        await (
            _stream(writer, completed)
            if asked.get("stream")
            else _send(writer, 200, completed, extra)
        )
        return extra.get("Connection") != "close"

    def _completed(self, asked: dict[str, Any], kind: str) -> dict[str, Any]:
        content = self._said(asked["messages"])
        if content is None:
            content = fake_answers.spoilt(
                kind, fake_answers.answer_to(asked["messages"], self.seed)
            )
        finish = {"truncated": "length", "filter": "content_filter"}.get(kind, "stop")
        thinks, limit = self.script.get("thinks", 0), _limit(asked)
        if thinks and limit < thinks + len(content) // 4:
            content, finish = content[: max(limit - thinks, 0) * 4], "length"
        prompt = sum(len(str(message["content"])) for message in asked["messages"]) // 4
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": thinks + len(content) // 4,
            "total_tokens": prompt + thinks + len(content) // 4,
            "prompt_tokens_details": {"cached_tokens": self.script.get("cached_tokens", 0)},
        }
        return {
            "id": "chatcmpl-test",
            "object": "chat.completion",
            "created": 0,
            "model": asked.get("model"),
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish,
                    "message": {"role": "assistant", "content": content},
                }
            ],
            "usage": self.script.get("usage", usage),
        }

    def _said(self, messages: list[dict[str, Any]]) -> str | None:
        """Return the next text of the script for such instructions, or None if it has none."""
        instructions = str(messages[0]["content"])
        for beginning, texts in self.script.get("says", {}).items():
            if instructions.startswith(beginning) and texts:
                return str(texts.pop(0))
        return None


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stored.items() if name not in ("text", "begun")}


def _step(asked: dict[str, Any]) -> str:
    return str(asked.get("response_format", {}).get("type", "prompt"))


def _limit(asked: dict[str, Any]) -> int:
    return int(asked.get("max_completion_tokens", asked.get("max_tokens", 0)))


def _error(message: str, code: str) -> dict[str, Any]:
    return {
        "error": {"message": message, "type": "invalid_request_error", "code": code, "param": None}
    }


async def _send(
    writer: asyncio.StreamWriter,
    status: int,
    answer: dict[str, Any],
    extra: dict[str, str] | None = None,
) -> bool:
    return await _send_text(
        writer, status, json.dumps(answer, ensure_ascii=False), extra, "application/json"
    )


async def _send_text(
    writer: asyncio.StreamWriter,
    status: int,
    text: str,
    extra: dict[str, str] | None,
    mime: str = "application/json",
) -> bool:
    body = text.encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {mime}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (extra or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()
    return True


async def _stream(writer: asyncio.StreamWriter, completed: dict[str, Any]) -> bool:
    """Send a completion piece by piece: thinking in its own field first, the usage last, in a piece without choices."""
    (choice,) = completed["choices"]
    text = str(choice["message"]["content"])
    deltas: list[dict[str, Any]] = [{"role": "assistant"}, {"reasoning_content": "hm"}]
    deltas += [{"content": text[place : place + 40]} for place in range(0, len(text), 40)]
    common = {
        "id": completed["id"],
        "object": "chat.completion.chunk",
        "created": 0,
        "model": completed["model"],
    }
    pieces = [
        {**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    pieces.append(
        {**common, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    )
    pieces.append({**common, "choices": [], "usage": completed["usage"]})
    events = [f"data: {json.dumps(piece, ensure_ascii=False)}\n\n" for piece in pieces] + [
        "data: [DONE]\n\n"
    ]
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for event in (*events, ""):
        body = event.encode()
        writer.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        await writer.drain()
    return True


async def _cut(writer: asyncio.StreamWriter) -> bool:
    writer.write(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"id": "half'
    )
    await writer.drain()
    writer.close()
    return False


async def run(port: int, provider: Provider) -> None:
    server = await asyncio.start_server(provider.serve, "127.0.0.1", port, limit=2**22, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)  # noqa: T201 - its answer
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--script", type=json.loads, default={})
    chosen = parser.parse_args()
    asyncio.run(run(chosen.port, Provider(chosen.seed, chosen.script)))


if __name__ == "__main__":
    main()
