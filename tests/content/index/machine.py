"""Any order of changes to the library, of builds and model switches, with deaths in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ai_investment.content.jobs import index_document
from ai_investment.content.reindex import follow_index, rebuild_index
from ai_investment.content.vectors import IndexIncomplete, collection_to_ask
from tests.content.index.process import Process
from tests.content.index.world import World
from tests.doubles.embedding import MemoryVectors

_WORDS = ("fund", "bond", "share", "index", "fee", "risk", "yield", "tax", "cash", "price", "loan")
_DOCUMENTS = st.sampled_from([f"doc_{number}" for number in range(5)])
# Up to four passages, for a model that counts ten tokens a word.
_TEXTS = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=16).map(
    lambda words: " ".join(f"The {word} is number {n}." for n, word in enumerate(words))
)
# A document that is taken in has five, a build more.
_POINTS = st.integers(1, 5) | st.integers(1, 20)
_WHICH = st.integers(0, 1)
_KINDS = st.sampled_from([index_document, rebuild_index, follow_index])
_MODELS = st.sampled_from([(0,), (1,), (0, 1), (1, 0)])


class IndexMachine(RuleBasedStateMachine):
    loop: asyncio.Runner
    new_world: Callable[[MemoryVectors], Coroutine[Any, Any, World]]

    @initialize(texts=st.lists(_TEXTS, min_size=2, max_size=5), models=_MODELS)
    def a_library(self, texts: list[str], models: tuple[int, ...]) -> None:
        """At rest: the index of each model in use is whole."""
        self.store = MemoryVectors()
        self.world: World = self.run(type(self).new_world(self.store))
        self.world.in_use = [self.world.processes[number] for number in models]
        for number, text in reversed(list(enumerate(texts))):
            self.run(self.world.send(f"doc_{number}", text))
        self.run(self.world.comes_to_rest())

    def run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(doing)

    def worker(self, which: int) -> Process:
        return self.world.in_use[which % len(self.world.in_use)]

    @rule(document=_DOCUMENTS, text=st.none() | _TEXTS)
    def change(self, document: str, text: str | None) -> None:
        self.run(self.send_or_delete(document, text))

    @rule(models=_MODELS, an_hour_later=st.booleans())
    def switch_models(self, models: tuple[int, ...], an_hour_later: bool) -> None:
        self.world.in_use = [self.world.processes[number] for number in models]
        for process in self.world.in_use:
            self.run(process.start())
        if an_hour_later:
            self.run(self.world.an_hour_passes())

    @rule(which=_WHICH, times=st.integers(1, 4), down=st.integers(0, 4))
    def work(self, which: int, times: int, down: int) -> None:
        """Some work, the last of it perhaps without the vector store."""
        self.run(self.world.time_passes())
        for left in reversed(range(times)):
            self.store.down = left < down - 2
            self.run(self.worker(which).work())
            self.run(self.worker(which).work("delivery"))
        self.store.down = False

    @rule(which=_WHICH, kind=_KINDS, point=_POINTS, document=_DOCUMENTS)
    def work_and_die(self, which: int, kind: Any, point: int, document: str) -> None:
        process = self.worker(which)
        self.run(self.prepare(process, kind, document))
        process.fate.dies_in = point
        self.run(process.work("embeddings", kind))
        self.run(process.start())

    @rule(
        which=_WHICH, kind=_KINDS, point=_POINTS, document=_DOCUMENTS, text=st.none() | _TEXTS,
        rebuilt=st.booleans(),
    )  # fmt: skip
    def work_while_others_do(
        self, which: int, kind: Any, point: int, document: str, text: str | None, rebuilt: bool
    ) -> None:
        process = self.worker(which)
        self.run(self.prepare(process, kind, document))
        process.fate.interrupted_in = point
        process.fate.meanwhile = lambda: self.others(process, document, text, rebuilt=rebuilt)
        self.run(process.work("embeddings", kind))
        process.fate.meanwhile = None

    async def prepare(self, process: Process, kind: Any, document: str) -> None:
        if kind is rebuild_index:
            await self.world.want_rebuild(process)
        if kind is index_document:
            await self.world.send(document, f"Number {len(self.world.texts)} is new.")
        await self.world.time_passes()

    async def others(
        self, process: Process, document: str, text: str | None, *, rebuilt: bool
    ) -> None:
        """What other people and workers do between two steps of this one."""
        if rebuilt:
            await self.world.want_rebuild(process)
            await process.work("embeddings", rebuild_index)
        await self.send_or_delete(document, text)
        await process.work("embeddings", index_document)

    async def send_or_delete(self, document: str, text: str | None) -> None:
        if text is not None:
            await self.world.send(document, text)
        elif self.world.texts.get(document) is not None:
            await self.world.delete(document)

    @invariant()
    def only_what_is_live_is_found(self) -> None:
        if hasattr(self, "world"):
            self.run(self.look())

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.run(self.world.comes_to_rest())
            self.run(self.look())
            self.run(self.at_rest())

    async def look(self) -> None:
        """A collection that is asked has everything that is live; the newest passage finds itself."""
        live = await self.world.live_passages()
        for process in self.world.processes:
            try:
                name = await collection_to_ask(self.world.database, process.embedder)
            except IndexIncomplete:
                name = None
            if name is not None:
                lacking = {passage.id for passage in live} - set(self.store.collections[name])
                assert not lacking, f"{name} is asked and lacks passages"
        for passage in live[-1:]:
            await self.world.asked(self.world.processes[0], passage)

    async def at_rest(self) -> None:
        """Everything sent is live, and each worker's model finds all of it by meaning."""
        live = await self.world.live_passages()
        texts = {passage.document_id: passage.whole for passage in live}
        assert texts == {key: text for key, text in self.world.texts.items() if text is not None}
        for passage in live:
            for process in self.world.in_use:
                assert await self.world.asked(process, passage), "its model's index is not whole"
