"""A rank of a spread model, in a process of its own: proves what it holds, or fails. Run by torch's launcher."""

from __future__ import annotations

import sys
from pathlib import Path

from torch.distributed.tensor import DTensor

from learner.train.parallel import join_ranks
from learner.train.place import layer_classes
from learner.train.policy import Policy

if __name__ == "__main__":
    with join_ranks() as ranks:
        policy = Policy(Path(sys.argv[1]), Path(sys.argv[2]), "float32", spread=True)
        assert layer_classes(policy.peft) == {"LlamaDecoderLayer"}
        held = {name: parameter for name, parameter in policy.peft.named_parameters() if isinstance(parameter, DTensor)}
        base = {name for name, _ in policy.peft.named_parameters() if ".layers." in name and ".lora_" not in name}
        assert held.keys() == base, held.keys() ^ base
        whole, here = (
            sum(parameter.numel() for parameter in held.values()),
            sum(parameter.to_local().numel() for parameter in held.values()),
        )
        assert here * ranks.world == whole, f"rank {ranks.rank} holds {here} of {whole}"
        assert not any(isinstance(parameter, DTensor) for parameter in policy.parameters())
