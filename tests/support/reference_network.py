"""Numbers that both PyTorch and the tests make, so that fixtures hold results only; see reference_network.hpp."""
import torch


def draw(stream, index):
    """0 … 1008, well mixed."""
    return ((index * 31 + stream * 17 + 5) * 7919 + index * index % 127 * 11) % 1009


def set_parameters(model):
    """To numbers from -0.5 to 0.5, in batch norms around 1 for the scale."""
    for stream, (name, parameter) in enumerate(model.named_parameters(), 1):
        values = torch.tensor([draw(stream, i) / 1009 - 0.5 for i in range(parameter.numel())], dtype=torch.float64)
        scale = parameter.dim() == 1 and name.endswith("weight")  # of a batch norm
        with torch.no_grad():
            parameter.copy_(((1 + values) if scale else values).reshape(parameter.shape))


def weighted_sum(values):
    """Σ v·(index mod 7 + 1)."""
    values = values.detach().flatten()
    return (values * (torch.arange(values.numel(), dtype=torch.float64) % 7 + 1)).sum().item()
