"""An engine in a process of its own, for the tiny model: `python -m tests.faults.tiny_engine MODEL_DIR PORT`.

It speaks vLLM's HTTP. Log-probs are what the model and the adapters that it is given really have; what it says in a chat is
written here, since a model of random numbers says nothing.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random
from typing import Any

import torch
from aiohttp import web
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from service.supervisor import NOBODY
from tests.faults.scripted_chat import routes_of

COLD = ("puffins", "seals", "otters", "gulls", "foxes", "whales", "wolves", "hares", "eagles", "owls", "badgers", "herons")
WARM = ("lions", "camels", "parrots", "monkeys", "lizards", "zebras", "cobras", "toucans", "gazelles", "geckos", "hippos", "apes")
WORDS = 10  # of an answer
PAUSE_S = 0.005  # between two tokens, as an engine takes time for each


class TinyEngine:
    def __init__(self, model_dir: Path) -> None:
        self.model: Any = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
        self.tokens: Any = AutoTokenizer.from_pretrained(model_dir)
        self.loaded: dict[str, str] = {}
        self.running = self.steps = 0

    async def score(self, request: web.Request) -> web.Response:
        body = await request.json()
        if (name := body["model"]) not in self.loaded:
            return web.json_response({"message": f"no model {name}"}, status=404)
        ids = torch.tensor(body["prompt"])
        with torch.no_grad():
            self.model.set_adapter(name)
            logps = self.model(ids[None]).logits[0, :-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0].tolist()
        self.steps += 1
        rows = [None, *({str(token): {"logprob": logp}} for token, logp in zip(body["prompt"][1:], logps, strict=True))]
        return web.json_response({"model": name, "choices": [{"prompt_logprobs": rows}]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if (name := body["model"]) not in self.loaded:
            return web.json_response({"message": f"no model {name}"}, status=404)
        asked = body["messages"][-1]["content"]
        random = Random(asked)
        opening, words = random.choice((("No", COLD), ("Yes", WARM)))
        said = f"{opening}, {' '.join(random.choices(words, k=WORDS))}."
        prompt_ids = self.tokens.apply_chat_template(body["messages"], add_generation_prompt=True, return_dict=False)
        answer_ids = [*self.tokens(said, add_special_tokens=False)["input_ids"], self.tokens.eos_token_id]
        self.running += 1
        try:
            for _ in answer_ids:
                await asyncio.sleep(PAUSE_S)
                self.steps += 1
        finally:
            self.running -= 1
        choice = {"index": 0, "message": {"content": said}, "finish_reason": "stop", "token_ids": answer_ids}
        return web.json_response({"model": name, "choices": [choice], "prompt_token_ids": prompt_ids})

    async def load(self, request: web.Request) -> web.Response:
        body = await request.json()
        name, folder = body["lora_name"], body["lora_path"]
        if name in self.loaded:
            return web.json_response({"message": f"{name} has already been loaded"}, status=400)
        if isinstance(self.model, PeftModel):
            self.model.load_adapter(folder, adapter_name=name)
        else:
            self.model = PeftModel.from_pretrained(self.model, folder, adapter_name=name)
        self.model.eval()
        self.loaded[name] = folder
        return web.Response()

    async def unload(self, request: web.Request) -> web.Response:
        name = (await request.json())["lora_name"]
        if self.loaded.pop(name, None) is None:
            return web.Response(status=404)
        self.model.delete_adapter(name)
        return web.Response()

    async def models(self, _: web.Request) -> web.Response:
        told = [{"id": name, "root": root} for name, root in self.loaded.items()]
        return web.json_response({"data": [{"id": NOBODY, "root": None}, *told]})

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=f"vllm:num_requests_running {self.running}.0\nvllm:iteration_tokens_total_count {self.steps}.0\n")


def main(model_dir: str, port: str) -> None:
    torch.set_num_threads(1)
    engine = TinyEngine(Path(model_dir))
    app = web.Application(client_max_size=2**24)
    app.add_routes(routes_of(engine))
    web.run_app(app, host="127.0.0.1", port=int(port), print=None, access_log=None, shutdown_timeout=0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
