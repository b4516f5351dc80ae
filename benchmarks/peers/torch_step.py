#!/usr/bin/env python3
"""Full training steps of the models of benchmarks/train_step.cpp, in PyTorch: forward, backward, clipping to norm 1,
AdamW, on random tokens. Prints one line of JSON.

Usage: benchmarks/peers/torch_step.py [MODEL] [--context N] [--precision fp32|bf16] [--batch N] [--threads N]
                                      [--steps N] [--warm-up N] [--compile] [--fused] [--device cpu|cuda]

bf16 is torch.autocast: fp32 parameters, products in bf16. Plain attention is F.scaled_dot_product_attention where
PyTorch has it. Attention with relative positions is the explicit formula with the shift by reshaping (Dai et al. 2019,
appendix B); PyTorch has no operation for it.
"""
import argparse
import json
import math
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

# layers, width, heads, vocabulary, context; feed-forward layers are four times as wide
SIZES = {
    "gopher-tiny": (5, 128, 4, 2048, 256),
    "gopher-44m": (8, 512, 16, 32000, 2048),
    "gopher-117m": (12, 768, 12, 32000, 2048),
    "gopher-417m": (12, 1536, 12, 32000, 2048),
    "gopher-1.4b": (24, 2048, 16, 32000, 2048),
    "gpt2-44m": (8, 512, 16, 32000, 2048),
    "gpt2-124m": (12, 768, 12, 50257, 1024),
}


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x):
        if hasattr(F, "rms_norm"):
            return F.rms_norm(x, x.shape[-1:], self.gain, 1e-5)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.gain


def sinusoids(count, width):
    """Encodings of the distances count - 1, ..., 0."""
    rates = 10000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(count - 1, -1, -1.0)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class RelativeAttention(nn.Module):
    """softmax(((q + u) k + shift((q + v) r)) / sqrt(head width)) values, causal."""

    def __init__(self, width, heads, context):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.position = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width)
        self.content_bias = nn.Parameter(0.02 * torch.randn(heads, 1, width // heads))
        self.position_bias = nn.Parameter(0.02 * torch.randn(heads, 1, width // heads))
        self.register_buffer("encodings", sinusoids(context, width))
        self.register_buffer("future", torch.ones(context, context, dtype=torch.bool).triu(1))

    def forward(self, x):
        batch, count, width = x.shape

        def by_head(y):
            return y.view(-1, count, self.heads, width // self.heads).transpose(1, 2)

        q, k, v = by_head(self.query(x)), by_head(self.key(x)), by_head(self.value(x))
        r = by_head(self.position(self.encodings))
        content = (q + self.content_bias) @ k.transpose(-1, -2)
        distances = (q + self.position_bias) @ r.transpose(-1, -2)
        shifted = F.pad(distances, (1, 0)).view(batch, self.heads, count + 1, count)[:, :, 1:]
        scores = (content + shifted) * (width // self.heads) ** -0.5
        weights = scores.masked_fill(self.future, -math.inf).softmax(-1)
        return self.output((weights @ v).transpose(1, 2).reshape(batch, count, width))


class CausalAttention(nn.Module):
    def __init__(self, width, heads, context):
        super().__init__()
        self.heads = heads
        self.joint = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        if not hasattr(F, "scaled_dot_product_attention"):
            self.register_buffer("future", torch.ones(context, context, dtype=torch.bool).triu(1))

    def forward(self, x):
        batch, count, width = x.shape
        q, k, v = (y.view(batch, count, self.heads, -1).transpose(1, 2) for y in self.joint(x).split(width, 2))
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.transpose(-1, -2)) * (width // self.heads) ** -0.5
            y = scores.masked_fill(self.future, -math.inf).softmax(-1) @ v
        return self.output(y.transpose(1, 2).reshape(batch, count, width))


class Block(nn.Module):
    def __init__(self, norm, attention, width, heads, context):
        super().__init__()
        self.attention_norm, self.mlp_norm = norm(width), norm(width)
        self.attention = attention(width, heads, context)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class LanguageModel(nn.Module):
    def __init__(self, gopher, layers, width, heads, vocabulary, context):
        super().__init__()
        norm, attention = (RmsNorm, RelativeAttention) if gopher else (nn.LayerNorm, CausalAttention)
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = None if gopher else nn.Parameter(0.02 * torch.randn(context, width))
        self.blocks = nn.ModuleList(Block(norm, attention, width, heads, context) for _ in range(layers))
        self.norm = norm(width)
        self.output_bias = nn.Parameter(torch.zeros(vocabulary)) if gopher else None
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens, targets):
        x = self.embedding(tokens)
        if self.positions is not None:
            x = x + self.positions
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.embedding.weight, self.output_bias)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def peak_mib(device):
    """Of the process, or on a GPU of what PyTorch took of its memory."""
    if device == "cuda":
        return torch.cuda.max_memory_reserved() / (1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="gopher-44m", choices=SIZES)
    parser.add_argument("--context", type=int)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--fused", action="store_true", help="the fused AdamW where there is one")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()

    if options.threads:
        torch.set_num_threads(options.threads)
    device = options.device
    if device == "cuda":
        torch.set_default_device(device)
    before = peak_mib(device)
    torch.manual_seed(0)
    layers, width, heads, vocabulary, context = SIZES[options.model]
    context = options.context or context
    model = LanguageModel(options.model.startswith("gopher"), layers, width, heads, vocabulary, context)
    fused = {"fused": True} if options.fused and torch.__version__ >= "2.4" else {}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, **fused)
    forward = torch.compile(model) if options.compile else model
    tokens, targets = torch.randint(vocabulary, (2, options.batch, context))

    times = []
    for _ in range(options.warm_up + options.steps):
        begin = time.perf_counter()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=options.precision == "bf16"):
            loss = forward(tokens, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        value = loss.item()
        times.append(time.perf_counter() - begin)
    seconds = statistics.median(times[options.warm_up:])
    print(json.dumps({"tokens_per_second": options.batch * context / seconds, "peak_mib": peak_mib(device),
                      "mib_before_the_model": before, "loss": value, "version": torch.__version__}))


if __name__ == "__main__":
    main()
