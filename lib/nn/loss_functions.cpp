#include "../simd/math.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/base/settings.hpp>
#include <lockstep/nn/loss.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

namespace lockstep {
namespace {

std::string outputs_text(Index outputs) {
    return std::to_string(outputs) + (outputs == 1 ? " output" : " outputs");
}

void require_targets(const LossFunction& loss, const Target& target) {
    if (target.size() == 0)
        throw UsageError(
            "loss " + loss.text() +
            " needs targets, but the data are without targets: name them behind the inputs, as in "
            "x.npy:y.npy or file.h5:/x:/y");
}

class CrossEntropy final : public LossFunction {
  public:
    explicit CrossEntropy(double smoothing) : smoothing_(smoothing) {
        if (!(smoothing >= 0 && smoothing < 1))
            throw UsageError("label smoothing must be at least 0 and less than 1, not " +
                             shortest_text(smoothing));
    }

    std::string text() const override {
        return smoothing_ == 0 ? "cross-entropy" : "cross-entropy smoothing " + shortest_text(smoothing_);
    }

    void check(const Target& target, Index outputs) const override {
        require_targets(*this, target);
        if (target.classes == 0)
            throw UsageError("loss cross-entropy is for classes, but the data are " + target.to_string() +
                             ": choose mse, mae, huber or, for labels that are on or off, bce");
        if (outputs != target.classes)
            throw UsageError("the model ends in " + outputs_text(outputs) + ", but the data are " +
                             target.to_string() + ": end it with 'linear " + std::to_string(target.classes) +
                             "'");
    }

    double value(std::span<const double> outputs, std::span<const double> target,
                 std::span<double> gradient) const override {
        const auto label = static_cast<std::size_t>(target[0]);
        // Relative to the largest output no exponential overflows.
        const double largest = *std::ranges::max_element(outputs);
        double total = 0;
        for (std::size_t k = 0; k < outputs.size(); ++k) {
            const double exponential = exp_of(outputs[k] - largest);
            if (!gradient.empty()) gradient[k] = exponential;
            total += exponential;
        }
        const double uniform = smoothing_ / static_cast<double>(outputs.size());
        for (std::size_t k = 0; k < gradient.size(); ++k)
            gradient[k] = gradient[k] / total - (k == label ? 1 - smoothing_ : 0) - uniform;
        double loss = log_of(total) - (outputs[label] - largest);
        if (smoothing_ > 0) {
            double mean = 0;
            for (const double output : outputs) mean += output - largest;
            loss = (1 - smoothing_) * loss + smoothing_ * log_of(total) - uniform * mean;
        }
        return loss;
    }

  private:
    double smoothing_;
};

/// A mean over values of what each contributes, given how far output and target are apart.
class PerValue : public LossFunction {
  public:
    void check(const Target& target, Index outputs) const override {
        require_targets(*this, target);
        if (target.values == 0)
            throw UsageError("loss " + text() + " is for values, but the data are " + target.to_string() +
                             ": choose cross-entropy");
        if (outputs != target.values)
            throw UsageError(
                "the model ends in " + outputs_text(outputs) + ", but the data are " + target.to_string() +
                ": end it with 'linear " + std::to_string(target.values) + "'" +
                (target.values == 1 ? ", or choose loss cross-entropy if these are classes" : ""));
    }

    double value(std::span<const double> outputs, std::span<const double> target,
                 std::span<double> gradient) const final {
        const auto count = static_cast<double>(outputs.size());
        double sum = 0;
        for (std::size_t i = 0; i < outputs.size(); ++i) {
            const auto [loss, slope] = one(outputs[i], target[i]);
            sum += loss;
            if (!gradient.empty()) gradient[i] = slope / count;
        }
        return sum / count;
    }

  protected:
    struct Part {
        double loss;
        double slope;
    };
    virtual Part one(double output, double target) const = 0;
};

class SquaredError final : public PerValue {
  public:
    std::string text() const override { return "mse"; }

  private:
    Part one(double output, double target) const override {
        const double error = output - target;
        return {error * error, 2 * error};
    }
};

double sign(double value) {
    return static_cast<double>(value > 0) - static_cast<double>(value < 0);
}

class AbsoluteError final : public PerValue {
  public:
    std::string text() const override { return "mae"; }

  private:
    Part one(double output, double target) const override {
        const double error = output - target;
        return {std::abs(error), sign(error)};
    }
};

class Huber final : public PerValue {
  public:
    explicit Huber(double delta) : delta_(delta) {
        if (!(delta > 0) || !std::isfinite(delta))
            throw UsageError("the delta of loss huber must be a positive number, not " +
                             shortest_text(delta));
    }
    std::string text() const override { return "huber " + shortest_text(delta_); }

  private:
    Part one(double output, double target) const override {
        const double error = output - target;
        if (std::abs(error) <= delta_) return {0.5 * error * error, error};
        return {delta_ * (std::abs(error) - 0.5 * delta_), delta_ * sign(error)};
    }

    double delta_;
};

class BinaryCrossEntropy final : public PerValue {
  public:
    std::string text() const override { return "bce"; }
    bool labels() const override { return true; }

  private:
    Part one(double output, double target) const override {
        const double small = exp_of(-std::abs(output));  // at most 1: nothing overflows
        return {std::max(output, 0.0) - output * target + log1p_of(small), sigmoid_of(output) - target};
    }
};

bool is_built_in(const std::string& name) {
    try {
        parse_loss(name);
        return true;
    } catch (const UsageError&) {
        return false;
    }
}

class OwnLoss final : public LossFunction {
  public:
    OwnLoss(std::string name, LossCallable value) : name_(std::move(name)), value_(std::move(value)) {
        if (name_.empty() || !value_)
            throw UsageError("a loss of one's own needs a name and something to call");
        if (is_built_in(name_))
            throw UsageError("a loss of one's own cannot be named '" + name_ +
                             "', as one of the library's is");
    }
    std::string text() const override { return name_; }
    void check(const Target&, Index) const override {}
    double value(std::span<const double> outputs, std::span<const double> target,
                 std::span<double> gradient) const override {
        return value_(outputs, target, gradient);
    }

  private:
    std::string name_;
    LossCallable value_;
};

}  // namespace

Loss cross_entropy(double label_smoothing) {
    return std::make_shared<CrossEntropy>(label_smoothing);
}
Loss mean_squared_error() {
    return std::make_shared<SquaredError>();
}
Loss mean_absolute_error() {
    return std::make_shared<AbsoluteError>();
}
Loss huber(double delta) {
    return std::make_shared<Huber>(delta);
}
Loss binary_cross_entropy() {
    return std::make_shared<BinaryCrossEntropy>();
}
Loss own_loss(std::string name, LossCallable value) {
    return std::make_shared<OwnLoss>(std::move(name), std::move(value));
}

void softmax(std::span<float> outputs) {
    const double largest = *std::ranges::max_element(outputs);
    double total = 0;
    for (const float output : outputs) total += exp_of(static_cast<double>(output) - largest);
    for (float& output : outputs)
        output = static_cast<float>(exp_of(static_cast<double>(output) - largest) / total);
}

void sigmoid(std::span<float> outputs) {
    for (float& output : outputs) output = static_cast<float>(sigmoid_of(static_cast<double>(output)));
}

Loss parse_loss(std::string_view text) {
    const auto number_after = [text](std::string_view words) {
        const std::string_view rest = text.substr(words.size());
        double value = 0;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
        if (error != std::errc() || end != rest.data() + rest.size())
            throw UsageError("loss '" + std::string(text) + "': '" + std::string(rest) + "' is no number");
        return value;
    };
    constexpr std::string_view smoothed = "cross-entropy smoothing ", huber_of = "huber ";
    if (text == "cross-entropy") return cross_entropy();
    if (text.starts_with(smoothed)) return cross_entropy(number_after(smoothed));
    if (text == "mse") return mean_squared_error();
    if (text == "mae") return mean_absolute_error();
    if (text == "huber") return huber();
    if (text.starts_with(huber_of)) return huber(number_after(huber_of));
    if (text == "bce") return binary_cross_entropy();
    throw UsageError("unknown loss '" + std::string(text) +
                     "'; choose one of cross-entropy, mse, mae, huber (or huber DELTA) and bce");
}

Loss default_loss(const Target& target) {
    return target.values > 0 ? mean_squared_error() : cross_entropy();
}

}  // namespace lockstep
