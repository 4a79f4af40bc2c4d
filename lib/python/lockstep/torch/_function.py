"""The pass through a layer, and back, as autograd sees it."""

import torch
from torch.autograd import Function

from ..errors import UsageError


class BatchNormFunction(Function):
    """z of x, γ and β. `input_gradient`: whether backward is to give dx, on all ranks or on none."""

    @staticmethod
    def forward(ctx, x, weight, bias, engine, averages, input_gradient):
        if x.is_neg():  # a view that says that its memory holds the negatives
            x = x.resolve_neg()
        shape = engine.layouts.of(x)
        if shape is None:
            x = x.contiguous()
            shape = engine.layouts.of(x)
        z, saved = engine.forward(x, shape, weight, bias, averages)
        ctx.save_for_backward(x, weight, bias)  # not z: what follows may change it in place
        ctx.passed = engine, shape, saved, input_gradient, x.data_ptr(), x.numel()
        return z

    @staticmethod
    def backward(ctx, dz):
        engine, shape, saved, input_gradient, place, size = ctx.passed
        x, weight, bias = ctx.saved_tensors
        if x.data_ptr() != place or x.numel() != size:
            engine.layouts.require_same(x, shape, engine.dtype)
        if engine.layouts.of(dz) is not shape or dz.is_neg():
            dz = torch.empty_like(x).copy_(dz)
        weight_wanted, bias_wanted = ctx.needs_input_grad[1:3]
        dx = torch.empty_like(x) if input_gradient else None
        gamma_gradient = torch.empty_like(weight) if weight_wanted else None
        beta_gradient = torch.empty_like(bias) if bias_wanted else None
        engine.backward(x, dz, dx, shape, saved, weight, bias, gamma_gradient, beta_gradient)
        if torch.is_grad_enabled():
            dx, gamma_gradient, beta_gradient = _refuse_second_derivatives(dx, gamma_gradient, beta_gradient)
        return dx, gamma_gradient, beta_gradient, None, None, None


class _OnceDifferentiable(Function):
    """Hands gradients on; differentiating them is an error, not a silent zero."""

    @staticmethod
    def forward(ctx, anchor, *gradients):
        return tuple(gradient.view_as(gradient) for gradient in gradients)

    @staticmethod
    def backward(ctx, *_):
        raise UsageError("Lockstep's batch norm has no second derivatives")


def _refuse_second_derivatives(*gradients):
    """For backward(create_graph=True)."""
    anchor = torch.zeros((), requires_grad=True)
    marked = iter(_OnceDifferentiable.apply(anchor, *(g for g in gradients if g is not None)))
    return tuple(None if g is None else next(marked) for g in gradients)
