"""The served module: an LSTM over exact integer products, in TorchScript.

Activations are whole numbers from -64 to 64 (a hidden value times 64, rounded), weights are
INT8 with one scale per output channel, a power of two. An integer sum is exact whatever its
order, stays below 2^24 and so is exact as a float, and its product with a power of two is
exact as well: only adding the bias rounds, once. Neither the batch, nor the number of threads,
nor the instruction set, nor the library that multiplies can change a bit.

TorchScript reads annotations as types, so this module does not import ``annotations`` from
``__future__``.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

ACTIVATION_SCALE = 1 / 64
ACTIVATION_ZERO_POINT = 64
MAX_INPUTS = (1 << 24) // (64 * 127)  # sums of so many products are exact as floats
NO_ROWS = 1 << 30  # more rows than there can be


def onednn_product(x: Tensor, weight: Tensor, scale: Tensor, zero: Tensor, bias: Tensor) -> Tensor:
    """Bytes uint8 [rows, in], zero point 64 -> float32 [rows, out]; uses AMX where there is any."""
    # TorchScript's name for the type of the operator's list; Python has none
    no_arguments: List[Optional[number]] = []  # noqa: F821
    product: Tensor = torch.ops.onednn.qlinear_pointwise(
        x, 1.0, 64, weight, scale, zero, bias, 1.0, 0, 6, "none", no_arguments, ""
    )
    return product


@contextmanager
def known_deprecations() -> Iterator[None]:
    """Silence what torch says about quantized tensors: its release is pinned for that reason."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*quantized tensor creation functions")
        warnings.filterwarnings("ignore", message=r".*torch\.(jit|ao)", category=DeprecationWarning)
        yield


class Int8Linear(nn.Module):
    """Whole numbers times INT8 weights, times a power of two per channel, plus a bias."""

    scale: Tensor
    bias: Tensor
    zero: Tensor
    wide: Tensor

    def __init__(self, weight: Tensor, exponents: Tensor, bias: Tensor) -> None:
        """Weight int8 [out, in], exponents of the scales int64 [out], bias float32 [out]."""
        super().__init__()
        if weight.shape[1] > MAX_INPUTS:
            raise ValueError(f"{weight.shape[1]} inputs: sums of more than {MAX_INPUTS} may round")
        zeros = torch.zeros(len(exponents), dtype=torch.int64)
        with known_deprecations():
            quantized = torch._make_per_channel_quantized_tensor(  # noqa: SLF001 - from whole numbers
                weight, torch.exp2(exponents.double()), zeros, 0
            )
        self.packed = torch.ops.quantized.linear_prepack(quantized, bias)
        self.register_buffer("scale", torch.exp2(exponents.float()))
        self.register_buffer("bias", bias)
        self.register_buffer("zero", torch.zeros(1, dtype=torch.int64))
        self.wide_rows = NO_ROWS
        self.wide = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        """Whole numbers float32 [rows, in] from -64 to 64 -> float32 [rows, out]."""
        rows = x.shape[0]
        if rows >= self.wide_rows:
            # whole tiles: oneDNN compiles, and keeps, a product for every number of rows it meets
            tiles = torch.zeros((rows + 15) // 16 * 16, x.shape[1], dtype=torch.uint8)
            tiles[:rows] = torch.add(x, 64)
            wide: Tensor = onednn_product(tiles, self.wide, self.scale, self.zero, self.bias)
            return wide[:rows]
        product: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            x, 1.0, 64, self.packed
        )
        return product

    @torch.jit.export
    def widen(self, rows: int) -> None:
        """Multiply by oneDNN from this many rows on; the bits are the same."""
        weight = torch.ops.quantized.linear_unpack(self.packed)[0]
        self.wide = torch.ops.onednn.qlinear_prepack(weight.int_repr(), None)
        self.wide_rows = rows


class TokenRows(nn.Module):
    """What a token adds to the gates of the first layer, with its biases: one row per token."""

    rows: Tensor
    scales: Tensor

    def __init__(self, rows: Tensor, scales: Tensor) -> None:
        """Rows int8 [tokens, 4 * hidden], scales float32 [tokens, 1]."""
        super().__init__()
        self.register_buffer("rows", rows)
        self.register_buffer("scales", scales)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens int64 [n] -> float32 [n, 4 * hidden]."""
        # several times as fast as indexing
        return self.rows.index_select(0, tokens) * self.scales.index_select(0, tokens)


class Int8Cell(nn.Module):
    """One LSTM layer, given what its input adds to the gates."""

    def __init__(self, product: Int8Linear) -> None:
        super().__init__()
        self.product = product

    def forward(self, added: Tensor, h: Tensor, c: Tensor) -> None:
        """Added [rows, 4 * hidden]; h and c [rows, hidden] are overwritten.

        h are whole numbers, 64 times the hidden values; c are twice the cell values, because
        tanh(x) = 2 sigmoid(2x) - 1. Multiplying by 2, 4 or 128 rounds nothing.
        """
        torch.round(self.outputs(added, h, c), out=h)

    def outputs(self, added: Tensor, h: Tensor, c: Tensor) -> Tensor:
        """Overwrite c; -> 64 times the hidden values, [rows, hidden], before they are rounded."""
        i, f, o, g = self.product(h).add_(added).sigmoid_().unsafe_chunk(4, dim=1)
        # g is sigmoid(2x): c' = f c + 2 i tanh(x) = f c + 4 i g - 2 i
        c.mul_(f).add_(g.mul_(i), alpha=4).sub_(i, alpha=2)
        # o tanh(c / 2) = 2 o s - o
        half = torch.sigmoid(c).mul_(o).add_(o, alpha=-0.5)
        return half.mul_(128)

    @torch.jit.export
    def widen(self, rows: int) -> None:
        """Multiply by oneDNN from this many rows on; the bits are the same."""
        self.product.widen(rows)


class Int8Lstm(nn.Module):
    """The three-method TorchScript contract over integer matrix products.

    A state row is ``[64 h of every layer, 2 c of every layer]``, float32. Gates stand in the
    order i, f, o, 2g, so that one sigmoid serves all four.
    """

    def __init__(
        self,
        tokens: TokenRows,
        products: list[Int8Linear],
        cells: list[Int8Cell],
        output: Int8Linear,
        width: int = 0,
    ) -> None:
        """The products are those of the layers' inputs, from the second layer on.

        ``width`` is how many values leave a layer, where that is not how many it has.
        """
        super().__init__()
        self.inputs = nn.ModuleList([tokens, *products])
        self.cells = nn.ModuleList(cells)
        self.output = output
        self.hidden = tokens.rows.shape[1] // 4
        self.layers = len(cells)
        self.width = width or self.hidden
        self.widths = [self.width] * self.layers + [self.hidden] * self.layers
        self.num_tokens = tokens.rows.shape[0]
        self.int8_columns = [(0, self.layers * self.width)]  # the hidden values

    @torch.jit.export
    def initial_state(self, rows: int) -> Tensor:
        """Zeros [rows, layers * (width + hidden)]."""
        return torch.zeros(rows, self.layers * (self.width + self.hidden))

    @torch.jit.export
    def step(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read one token per row, tokens int64 [rows] -> logits [rows, tokens], state.

        The state given is overwritten and given back.
        """
        return self.output(self.advance(state, tokens)), state

    def advance(self, state: Tensor, tokens: Tensor) -> Tensor:
        """Read one token per row into the state; -> the top layer's hidden values, a view of it."""
        parts = state.split(self.widths, dim=1)
        source = tokens
        for layer, (inputs, cell) in enumerate(zip(self.inputs, self.cells)):  # noqa: B905
            cell(inputs(source), parts[layer], parts[self.layers + layer])
            source = parts[layer]
        return source

    @torch.jit.export
    def prefill(self, state: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Read several tokens per row by the arithmetic of `step`, without its output layer.

        tokens int64 [rows, T] padded to the longest, lengths int64 [rows] -> state. The state
        given is overwritten and given back.
        """
        self.read(state, tokens, lengths)
        return state

    def read(self, state: Tensor, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read several tokens per row into the state, as `prefill` does.

        -> the top layer's hidden values [n, width] after each of all tokens, and of which row and
        column each token is, int64 [n]. One layer reads all tokens before the next does: its
        weights stay in the cache, and the input of the next is one product.
        """
        # longest first, so that those who still read are always the first rows
        order = lengths.argsort(descending=True)
        reading = state[order]
        parts = reading.split(self.widths, dim=1)
        is_read = lengths[order].unsqueeze(0) > torch.arange(tokens.shape[1]).unsqueeze(1)
        num_rows: list[int] = is_read.sum(dim=1).tolist()
        source = tokens[order].t()[is_read]  # the first tokens, then the second ones, ...
        for layer, (inputs, cell) in enumerate(zip(self.inputs, self.cells)):  # noqa: B905
            h, c = parts[layer], parts[self.layers + layer]
            after: list[Tensor] = []
            for added in inputs(source).split(num_rows):
                rows = added.shape[0]
                if rows > 0:
                    cell(added, h[:rows], c[:rows])
                    after.append(h[:rows].clone())
            source = torch.cat(after)
        state.index_copy_(0, order, reading)
        place = is_read.nonzero()
        return source, order[place[:, 1]], place[:, 0]

    @torch.jit.export
    def read_ahead(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read several tokens of one row by the arithmetic of `step`, and tell all that came of it.

        state [1, S] and tokens int64 [T] -> logits [T, tokens] and states [T, S], after each of
        them. The state given is left as it is.
        """
        top, states = self.read_each(state, tokens)
        return self.output(top), states

    def read_each(self, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read several tokens of one row, as `read_ahead` does, without the output layer.

        -> the top layer's hidden values [T, width], and states [T, S]. One layer reads all tokens
        before the next does.
        """
        parts = state.split(self.widths, dim=1)
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        source = tokens
        for layer, (inputs, cell) in enumerate(zip(self.inputs, self.cells)):  # noqa: B905
            h, c = parts[layer].clone(), parts[self.layers + layer].clone()
            after: list[Tensor] = []
            cells_after: list[Tensor] = []
            for added in inputs(source).split(1):
                cell(added, h, c)
                after.append(h.clone())
                cells_after.append(c.clone())
            source = torch.cat(after)
            hidden.append(source)
            cells.append(torch.cat(cells_after))
        return source, torch.cat(hidden + cells, dim=1)

    @torch.jit.export
    def widen(self, rows: int) -> None:
        """Multiply by oneDNN from this many rows on; the bits are the same."""
        for inputs in self.inputs[1:]:
            inputs.widen(rows)
        for cell in self.cells:
            cell.widen(rows)
        self.output.widen(rows)
