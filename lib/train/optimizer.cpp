#include "optimizer_loops.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>
#include <lockstep/train/optimizer.hpp>

#include <algorithm>
#include <cmath>
#include <string>

namespace lockstep {
namespace {

/// Written so that a NaN fails too.
void require(bool holds, std::string_view option, std::string_view condition, double value) {
    if (holds) return;
    throw UsageError(std::string(option) + " must be " + std::string(condition) + ", but is " +
                     shortest_text(value));
}

bool is_fraction(double value) {
    return value >= 0 && value < 1;
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
    if (options_.rule) own_names_ = options_.rule->state_names();
    const Index stride = padded_to_line<Scalar>(parameters);
    own_memory_.assign(static_cast<std::size_t>(stride * state_arrays(options_)), Scalar(0));
    place_state(own_memory_.data(), stride);

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
int Optimizer<Scalar>::state_arrays(const OptimizerOptions& options) {
    if (options.rule) return static_cast<int>(options.rule->state_names().size());
    if (options.kind == OptimizerKind::adamw) return 2;
    return options.momentum != 0 ? 1 : 0;
}

template <class Scalar>
void Optimizer<Scalar>::place_state(Scalar* memory, Index stride) {
    state_.clear();
    for (int k = 0; k < state_arrays(options_); ++k)
        state_.emplace_back(memory + k * stride, static_cast<std::size_t>(size_));
}

template <class Scalar>
void Optimizer<Scalar>::keep_state_in(Scalar* memory, Index stride, std::shared_ptr<void> owner) {
    place_state(memory, stride);
    owner_ = std::move(owner);
    own_memory_ = {};
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
    step({0, size_}, parameters, gradients, learning_rate);
}

template <class Scalar>
void Optimizer<Scalar>::step(ParameterRange range, std::span<Scalar> parameters,
                             std::span<const Scalar> gradients, double learning_rate) {
    if (range.begin < 0 || range.end > size_ || std::ssize(parameters) != range.end - range.begin ||
        std::ssize(gradients) != range.end - range.begin)
        throw UsageError("the optimizer is given " + std::to_string(parameters.size()) + " parameters and " +
                         std::to_string(gradients.size()) + " gradients for the range [" +
                         std::to_string(range.begin) + ", " + std::to_string(range.end) + ") of its " +
                         std::to_string(size_) + " parameters");
    ++step_count_;
    // Segments count from the beginning of the flat array.
    Scalar* const all = parameters.data() - range.begin;
    const Scalar* const all_gradients = gradients.data() - range.begin;
    for (const Segment& whole : segments_) {
        const Segment segment{std::max(whole.begin, range.begin), std::min(whole.end, range.end),
                              whole.weight_decay};
        if (segment.begin >= segment.end) continue;
        if (options_.rule) {
            step_by_rule(segment, all, all_gradients, learning_rate);
        } else if (options_.kind == OptimizerKind::adamw) {
            step_adamw(segment, all, all_gradients, learning_rate);
        } else if (options_.momentum != 0) {
            step_momentum(segment, all, all_gradients, learning_rate);
        } else {
            step_sgd(segment, all, all_gradients, learning_rate);
        }
    }
}

template <class Scalar>
void Optimizer<Scalar>::step_sgd(const Segment& segment, Scalar* parameters, const Scalar* gradients,
                                 double learning_rate) {
    const auto rate = static_cast<Scalar>(learning_rate), decay = static_cast<Scalar>(segment.weight_decay);
    loops<Scalar>().sgd(rate, decay, parameters + segment.begin, gradients + segment.begin,
                        segment.end - segment.begin);
}

template <class Scalar>
void Optimizer<Scalar>::step_momentum(const Segment& segment, Scalar* parameters, const Scalar* gradients,
                                      double learning_rate) {
    const MomentumFactors<Scalar> factors{static_cast<Scalar>(learning_rate),
                                          static_cast<Scalar>(segment.weight_decay),
                                          static_cast<Scalar>(options_.momentum)};
    // The first step needs no case of its own: momentum·0 + g is the g that PyTorch starts the buffer with.
    const auto step = options_.nesterov ? loops<Scalar>().nesterov : loops<Scalar>().momentum;
    step(factors, parameters + segment.begin, gradients + segment.begin, state_[0].data() + segment.begin,
         segment.end - segment.begin);
}

template <class Scalar>
void Optimizer<Scalar>::step_adamw(const Segment& segment, Scalar* parameters, const Scalar* gradients,
                                   double learning_rate) {
    // Whatever is one number per step is computed in double, as PyTorch does, and only then narrowed.
    const auto count = static_cast<double>(step_count_);
    const AdamwFactors<Scalar> factors{
        .rate = static_cast<Scalar>(learning_rate / (1 - std::pow(options_.beta1, count))),
        .root_correction = static_cast<Scalar>(std::sqrt(1 - std::pow(options_.beta2, count))),
        .kept = static_cast<Scalar>(1 - learning_rate * segment.weight_decay),
        .beta1 = static_cast<Scalar>(options_.beta1),
        .rest1 = static_cast<Scalar>(1 - options_.beta1),
        .beta2 = static_cast<Scalar>(options_.beta2),
        .rest2 = static_cast<Scalar>(1 - options_.beta2),
        .epsilon = static_cast<Scalar>(options_.epsilon)};
    loops<Scalar>().adamw(factors, parameters + segment.begin, gradients + segment.begin,
                          state_[0].data() + segment.begin, state_[1].data() + segment.begin,
                          segment.end - segment.begin);
}

template <class Scalar>
void Optimizer<Scalar>::step_by_rule(const Segment& segment, Scalar* parameters, const Scalar* gradients,
                                     double learning_rate) {
    const auto begin = static_cast<std::size_t>(segment.begin);
    const auto count = static_cast<std::size_t>(segment.end - segment.begin);
    std::vector<std::span<Scalar>> state;
    for (const std::span<Scalar> array : state_) state.push_back(array.subspan(begin, count));
    options_.rule->step(UpdatePass<Scalar>{.parameters = {parameters + begin, count},
                                           .gradients = {gradients + begin, count},
                                           .state = state,
                                           .step = step_count_,
                                           .learning_rate = learning_rate,
                                           .weight_decay = segment.weight_decay});
}

template <class Scalar>
std::vector<typename Optimizer<Scalar>::State> Optimizer<Scalar>::state() {
    if (options_.rule) {
        std::vector<State> all;
        for (std::size_t i = 0; i < state_.size(); ++i) all.push_back({own_names_[i], state_[i]});
        return all;
    }
    if (options_.kind == OptimizerKind::adamw) return {{"exp_avg", state_[0]}, {"exp_avg_sq", state_[1]}};
    if (options_.momentum != 0) return {{"momentum_buffer", state_[0]}};
    return {};
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
