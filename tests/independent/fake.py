"""Starts the stand-in for Discord and speaks with it: see README.md."""

import asyncio
import json
import os
import sys

COMMAND = os.environ.get("FAKE", "cargo test -q --test prove -- --as discord").split()
failed = 0


class Fake:
    async def start(self):
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(*COMMAND, stdin=pipe, stdout=pipe, limit=64 << 20)
        self.turn = asyncio.Lock()
        begins = await self._next()
        self.api, self.token, self.names = begins["api"], begins["token"], begins["names"]
        return self

    async def _next(self):
        while True:
            line = (await self.process.stdout.readline()).decode()
            if not line:
                raise EOFError("the stand-in ended")
            if line[0] in '{["0123456789tfn':
                return json.loads(line)

    async def ask(self, *words):
        async with self.turn:
            self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
            return await self._next()

    async def finish(self):
        violations = (await self.ask("state"))["violations"]
        check("no violation", not violations, violations)
        self.process.stdin.close()
        print(f"{failed} failed" if failed else "all fine")
        sys.stdout.flush()
        os._exit(1 if failed else 0)


def check(what, fine, saw=None):
    global failed
    failed += not fine
    print(f"{'ok  ' if fine else 'FAIL'} {what}" + ("" if fine or saw is None else f": {saw}"))
