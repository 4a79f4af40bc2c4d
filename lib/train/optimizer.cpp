#include <lockstep/train/optimizer.hpp>

#include "optimizer_loops.hpp"

#include "../simd/elementwise.hpp"

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace lockstep {
namespace {

/// Updated in the nearest cache before they are streamed.
constexpr Index streamed_values = 2048;

/// Written so that a NaN fails too.
void require(bool holds, std::string_view option, std::string_view condition, double value) {
    if (holds) return;
    throw UsageError(std::string(option) + " must be " + std::string(condition) + ", but is " +
                     shortest_text(value));
}

bool is_fraction(double value) {
    return value >= 0 && value < 1;
}

/// Of the arrays that are remembered.
std::vector<std::string> state_names(const OptimizerOptions& options) {
    if (options.rule) return options.rule->state_names();
    if (options.kind == OptimizerKind::adamw) return {"exp_avg", "exp_avg_sq"};
    if (options.momentum != 0) return {"momentum_buffer"};
    return {};
}

template <class Scalar>
const OptimizerLoops<Scalar>& loops() {
    return table_for<OptimizerLoops<Scalar>>(active_instruction_set());
}

}  // namespace

void OptimizerOptions::validate() const {
    require(weight_decay >= 0 && std::isfinite(weight_decay), "weight-decay", "finite and not negative",
            weight_decay);
    if (rule) {
        const std::vector<std::string> names = rule->state_names();
        if (rule->text().empty()) throw UsageError("an update rule of one's own needs a text");
        for (auto name = names.begin(); name != names.end(); ++name)
            if (name->empty() || std::find(names.begin(), name, *name) != name)
                throw UsageError("the update rule '" + rule->text() +
                                 "' needs a name of its own for each array that it remembers, but one is '" +
                                 *name + "'" + (name->empty() ? "" : " as well as another"));
        return;
    }
    if (kind == OptimizerKind::sgd) {
        require(is_fraction(momentum), "momentum", "in [0, 1)", momentum);
        if (nesterov && momentum == 0) {
            throw UsageError("nesterov wants a momentum above 0: set momentum, for example to 0.9");
        }
        return;
    }
    if (nesterov) throw UsageError("nesterov belongs to sgd: leave it out, or choose the optimizer sgd");
    require(is_fraction(beta1), "beta1", "in [0, 1)", beta1);
    require(is_fraction(beta2), "beta2", "in [0, 1)", beta2);
    require(epsilon > 0 && std::isfinite(epsilon), "epsilon", "finite and above 0", epsilon);
}

std::string_view to_string(OptimizerKind kind) {
    return kind == OptimizerKind::sgd ? "sgd" : "adamw";
}

std::string_view to_string(WeightDecayScope scope) {
    return scope == WeightDecayScope::all ? "all" : "weights";
}

OptimizerKind parse_optimizer_kind(std::string_view name) {
    if (name == "sgd") return OptimizerKind::sgd;
    if (name == "adamw") return OptimizerKind::adamw;
    throw UsageError("unknown optimizer '" + std::string(name) + "': choose sgd or adamw");
}

WeightDecayScope parse_weight_decay_scope(std::string_view name) {
    if (name == "all") return WeightDecayScope::all;
    if (name == "weights") return WeightDecayScope::weights;
    throw UsageError("unknown scope of weight decay '" + std::string(name) + "': choose all or weights");
}

template <class Scalar>
Optimizer<Scalar>::Optimizer(const OptimizerOptions& options, Index parameters,
                             std::span<const ParameterRange> weights)
    : options_(options), size_(parameters) {
    options_.validate();
    if (parameters < 0) throw UsageError("an optimizer cannot have a negative number of parameters");
    names_ = state_names(options_);
    state_.reserve(names_.size());
    for (std::size_t i = 0; i < names_.size(); ++i)
        own_.state.push_back(state_.emplace_back(parameters).data());

    if (options_.decay == WeightDecayScope::all) {
        add_segment(0, size_, options_.weight_decay);
        return;
    }
    Index done = 0;
    for (const ParameterRange& range : weights) {
        if (range.begin < done || range.end < range.begin || range.end > size_) {
            throw UsageError("weight decay: the range [" + std::to_string(range.begin) + ", " +
                             std::to_string(range.end) + ") overlaps the one before it or leaves the " +
                             std::to_string(size_) + " parameters: give ascending ranges within the array");
        }
        add_segment(done, range.begin, 0);
        add_segment(range.begin, range.end, options_.weight_decay);
        done = range.end;
    }
    add_segment(done, size_, 0);
}

template <class Scalar>
void Optimizer<Scalar>::add_segment(Index begin, Index end, double weight_decay) {
    if (begin == end) return;
    segments_.push_back({begin, end, weight_decay});
}

template <class Scalar>
void Optimizer<Scalar>::step(std::span<Scalar> parameters, std::span<const Scalar> gradients,
                             double learning_rate) {
    if (std::ssize(parameters) != size_ || std::ssize(gradients) != size_) {
        throw UsageError("the optimizer was made for " + std::to_string(size_) +
                         " parameters, but is given " + std::to_string(parameters.size()) +
                         " parameters and " + std::to_string(gradients.size()) + " gradients");
    }
    own_.parameters = parameters.data();
    step(own_, {0, size_}, gradients, learning_rate);
}

template <class Scalar>
void Optimizer<Scalar>::step(const Arrays& arrays, ParameterRange range, std::span<const Scalar> gradients,
                             double learning_rate) {
    ++step_count_;
    if (options_.kind == OptimizerKind::adamw && !options_.rule) {
        correction1_ = 1 - std::pow(options_.beta1, static_cast<double>(step_count_));
        correction2_ = 1 - std::pow(options_.beta2, static_cast<double>(step_count_));
    }
    // A rule of one's own is called once for a segment.
    const bool streams = arrays.held_elsewhere && !options_.rule;
    for (Segment segment : segments_) {
        segment.begin = std::max(segment.begin, range.begin);
        segment.end = std::min(segment.end, range.end);
        if (segment.begin >= segment.end) continue;
        const Scalar* const own = gradients.data() + (segment.begin - range.begin);
        if (streams)
            step_streaming(segment, arrays, own, learning_rate);
        else
            step_segment(segment, arrays.parameters + segment.begin, arrays, own, learning_rate);
    }
    if (streams) elementwise<Scalar>().end_streaming();
}

template <class Scalar>
void Optimizer<Scalar>::step_segment(const Segment& segment, Scalar* parameters, const Arrays& arrays,
                                     const Scalar* gradients, double learning_rate) {
    if (options_.rule) {
        step_by_rule(segment, parameters, arrays, gradients, learning_rate);
    } else if (options_.kind == OptimizerKind::adamw) {
        step_adamw(segment, parameters, arrays, gradients, learning_rate);
    } else if (options_.momentum != 0) {
        step_momentum(segment, parameters, arrays, gradients, learning_rate);
    } else {
        step_sgd(segment, parameters, gradients, learning_rate);
    }
}

template <class Scalar>
void Optimizer<Scalar>::step_streaming(const Segment& segment, const Arrays& arrays, const Scalar* gradients,
                                       double learning_rate) {
    alignas(cache_line_bytes) std::array<Scalar, streamed_values> piece;
    for (Index begin = segment.begin; begin < segment.end;) {
        // Whole lines of the array, wherever the segment begins.
        const Index end = std::min(segment.end, (begin / streamed_values + 1) * streamed_values);
        Scalar* const parameters = arrays.parameters + begin;
        std::copy_n(parameters, end - begin, piece.data());
        step_segment({begin, end, segment.weight_decay}, piece.data(), arrays,
                     gradients + (begin - segment.begin), learning_rate);
        elementwise<Scalar>().stream(parameters, piece.data(), end - begin);
        begin = end;
    }
}

template <class Scalar>
void Optimizer<Scalar>::step_sgd(const Segment& segment, Scalar* parameters, const Scalar* gradients,
                                 double learning_rate) {
    const auto rate = static_cast<Scalar>(learning_rate), decay = static_cast<Scalar>(segment.weight_decay);
    loops<Scalar>().sgd(rate, decay, parameters, gradients, segment.end - segment.begin);
}

template <class Scalar>
void Optimizer<Scalar>::step_momentum(const Segment& segment, Scalar* parameters, const Arrays& arrays,
                                      const Scalar* gradients, double learning_rate) {
    const MomentumFactors<Scalar> factors{static_cast<Scalar>(learning_rate),
                                          static_cast<Scalar>(segment.weight_decay),
                                          static_cast<Scalar>(options_.momentum)};
    // The first step needs no case of its own: momentum·0 + g is the g that PyTorch starts the buffer with.
    const auto step = options_.nesterov ? loops<Scalar>().nesterov : loops<Scalar>().momentum;
    step(factors, parameters, gradients, arrays.state[0] + segment.begin, segment.end - segment.begin);
}

template <class Scalar>
void Optimizer<Scalar>::step_adamw(const Segment& segment, Scalar* parameters, const Arrays& arrays,
                                   const Scalar* gradients, double learning_rate) {
    // Whatever is one number per step is computed in double, as PyTorch does, and only then narrowed.
    const AdamwFactors<Scalar> factors{.rate = static_cast<Scalar>(learning_rate / correction1_),
                                       .root_correction = static_cast<Scalar>(std::sqrt(correction2_)),
                                       .kept = static_cast<Scalar>(1 - learning_rate * segment.weight_decay),
                                       .beta1 = static_cast<Scalar>(options_.beta1),
                                       .rest1 = static_cast<Scalar>(1 - options_.beta1),
                                       .beta2 = static_cast<Scalar>(options_.beta2),
                                       .rest2 = static_cast<Scalar>(1 - options_.beta2),
                                       .epsilon = static_cast<Scalar>(options_.epsilon)};
    loops<Scalar>().adamw(factors, parameters, gradients, arrays.state[0] + segment.begin,
                          arrays.state[1] + segment.begin, segment.end - segment.begin);
}

template <class Scalar>
void Optimizer<Scalar>::step_by_rule(const Segment& segment, Scalar* parameters, const Arrays& arrays,
                                     const Scalar* gradients, double learning_rate) {
    const auto count = static_cast<std::size_t>(segment.end - segment.begin);
    std::vector<std::span<Scalar>> state;
    for (Scalar* const array : arrays.state) state.emplace_back(array + segment.begin, count);
    options_.rule->step(UpdatePass<Scalar>{.parameters = {parameters, count},
                                           .gradients = {gradients, count},
                                           .state = state,
                                           .step = step_count_,
                                           .learning_rate = learning_rate,
                                           .weight_decay = segment.weight_decay});
}

template <class Scalar>
auto Optimizer<Scalar>::state() -> std::vector<State> {
    std::vector<State> all;
    for (std::size_t i = 0; i < state_.size(); ++i) all.push_back({names_[i], state_[i]});
    return all;
}

template <class Scalar>
auto Optimizer<Scalar>::state() const -> std::vector<ConstState> {
    std::vector<ConstState> all;
    for (std::size_t i = 0; i < state_.size(); ++i) all.push_back({names_[i], state_[i]});
    return all;
}

template <class Scalar>
std::vector<PagedMemory*> Optimizer<Scalar>::state_memory() {
    std::vector<PagedMemory*> all;
    for (PagedArray<Scalar>& array : state_) all.push_back(&array.memory());
    return all;
}

template <class Scalar>
void Optimizer<Scalar>::set_step_count(std::int64_t count) {
    if (count < 0)
        throw UsageError("the optimizer's step count cannot be negative: " + std::to_string(count));
    step_count_ = count;
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace lockstep
