#include <lockstep/train/metrics.hpp>

#include "../base/json_integer.hpp"

#include <lockstep/base/atomic_file.hpp>
#include <lockstep/base/error.hpp>

#include <sys/stat.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

namespace lockstep {
namespace {

using Json = nlohmann::json;

/// A number of an epoch line. Those of `later` are not in files of earlier versions.
struct EpochField {
    const char* name;
    double EpochMetrics::*member;
    bool later = false;
};

constexpr std::array<EpochField, 8> classification_fields{{
    {"train_loss", &EpochMetrics::train_loss},
    {"train_accuracy", &EpochMetrics::train_score},
    {"test_loss", &EpochMetrics::test_loss},
    {"test_accuracy", &EpochMetrics::test_score},
    {"test_top5", &EpochMetrics::test_top5, true},
    {"seconds", &EpochMetrics::seconds},
    {"samples_per_second", &EpochMetrics::samples_per_second},
    {"communication_seconds", &EpochMetrics::communication_seconds},
}};
constexpr std::array<EpochField, 9> regression_fields{{
    {"train_loss", &EpochMetrics::train_loss},
    {"train_rmse", &EpochMetrics::train_score},
    {"test_loss", &EpochMetrics::test_loss},
    {"test_rmse", &EpochMetrics::test_score},
    {"test_mae", &EpochMetrics::test_mae},
    {"test_r2", &EpochMetrics::test_r2},
    {"seconds", &EpochMetrics::seconds},
    {"samples_per_second", &EpochMetrics::samples_per_second},
    {"communication_seconds", &EpochMetrics::communication_seconds},
}};
constexpr std::array<EpochField, 7> label_fields{{
    {"train_loss", &EpochMetrics::train_loss},
    {"train_f1", &EpochMetrics::train_score},
    {"test_loss", &EpochMetrics::test_loss},
    {"test_f1", &EpochMetrics::test_score},
    {"seconds", &EpochMetrics::seconds},
    {"samples_per_second", &EpochMetrics::samples_per_second},
    {"communication_seconds", &EpochMetrics::communication_seconds},
}};

/// The numbers of an epoch line, in the order in which they are written.
std::span<const EpochField> epoch_fields(Task task) {
    switch (task) {
        case Task::regression:
            return regression_fields;
        case Task::labels:
            return label_fields;
        case Task::classification:
            break;
    }
    return classification_fields;
}

Task task_of_line(const Json& line) {
    for (const Task task : {Task::regression, Task::labels})
        if (line.contains("train_" + std::string(score_name(task)))) return task;
    return Task::classification;
}

/// One line in a fixed buffer, large enough for every field at its longest. Not printf, which writes a
/// decimal comma in a program that has set such a locale.
class LineBuffer {
  public:
    void append(std::string_view text) { end_ = std::copy(text.begin(), text.end(), end_); }
    void append(Index value) { end_ = std::to_chars(end_, limit(), value).ptr; }
    void append(double value) {
        if (!std::isfinite(value)) return append(std::string_view("null"));
        end_ = std::to_chars(end_, limit(), value, std::chars_format::general, 17).ptr;
    }
    std::string_view text() const {
        return {buffer_.data(), static_cast<std::size_t>(end_ - buffer_.data())};
    }

  private:
    char* limit() { return buffer_.data() + buffer_.size(); }

    std::array<char, 768> buffer_;
    char* end_ = buffer_.data();
};

/// A line of the file, read back: exactly one of the two is there.
struct ParsedLine {
    std::optional<StepMetrics> step;
    std::optional<EpochMetrics> epoch;

    /// Whether it is of the first `epochs` epochs, or of the first `steps` steps of the next one.
    bool is_within(Index epochs, Index steps) const {
        if (epoch) return epoch->epoch <= epochs;
        return step->epoch <= epochs || (step->epoch == epochs + 1 && step->step < steps);
    }
};

double number_or_nan(const Json& value) {
    return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

/// Throws some std::exception where the line is not one of a metrics file.
ParsedLine parse_line(const std::string& text) {
    const Json line = Json::parse(text);
    const auto& kind = line.at("kind").get_ref<const std::string&>();
    ParsedLine parsed;
    if (kind == "step") {
        parsed.step = StepMetrics{json_integer<Index>(line.at("epoch")), json_integer<Index>(line.at("step")),
                                  number_or_nan(line.at("loss"))};
        return parsed;
    }
    if (kind != "epoch") throw std::invalid_argument("unknown kind '" + kind + "'");
    EpochMetrics epoch{.task = task_of_line(line), .epoch = json_integer<Index>(line.at("epoch"))};
    for (const auto& [name, member, later] : epoch_fields(epoch.task))
        if (!later || line.contains(name)) epoch.*member = number_or_nan(line.at(name));
    parsed.epoch = epoch;
    return parsed;
}

/// Whether lines come as a run writes them: steps and epochs in their order, each of them once, and as many steps in each
/// epoch.
class Continuity {
  public:
    void take(const ParsedLine& line) {
        if (line.step) {
            any_steps_ = true;
            broken_ |= line.step->epoch != epochs_ + 1 || line.step->step != steps_;
            steps_ = line.step->step + 1;
        } else {
            if (epochs_ == 0) steps_of_each_ = steps_;
            broken_ |= line.epoch->epoch != epochs_ + 1 || steps_ != steps_of_each_;
            epochs_ = line.epoch->epoch;
            steps_ = 0;
        }
    }
    /// Whether they end after so many epochs, and so many steps of the next one.
    bool leads_to(Index epochs, Index steps) const {
        return !broken_ && epochs_ == epochs && (steps_ == steps || !any_steps_);
    }

  private:
    Index epochs_ = 0, steps_ = 0, steps_of_each_ = 0;
    bool any_steps_ = false, broken_ = false;
};

/// Calls `take(text, parsed)` for each line, without its newline. Returns how many bytes are no lines.
std::uintmax_t for_each_line(const std::filesystem::path& path,
                             const std::function<void(const std::string&, const ParsedLine&)>& take) {
    std::ifstream file(path);
    if (!file) {
        throw FileError("cannot read " + path.string() + ": " + std::strerror(errno) + "; check the path");
    }
    std::string text;
    std::uintmax_t torn = 0;
    for (Index number = 1; std::getline(file, text); ++number) {
        // The newline is written last: a line without one may be torn, even where what is there parses. After a power
        // cut a file may have its length, but zeros for what had not reached the disk.
        if (file.eof() || text.find('\0') != std::string::npos) {
            torn += text.size() + (file.eof() ? 0 : 1);
            continue;
        }
        std::optional<ParsedLine> parsed;
        try {
            parsed = parse_line(text);
        } catch (const std::exception& error) {
            throw FileError(path.string() + ": line " + std::to_string(number) +
                            " is not a line of a metrics file (" + error.what() +
                            "); mend or delete the file");
        }
        take(text, *parsed);
    }
    return torn;
}

std::string dropped_text(Index lines, std::uintmax_t torn) {
    std::string text;
    if (lines > 0) text = std::to_string(lines) + (lines == 1 ? " line" : " lines") + " of later steps";
    if (torn > 0) text += (text.empty() ? "" : " and ") + std::to_string(torn) + " bytes of torn lines";
    return text;
}

}  // namespace

MetricsWriter::MetricsWriter(std::filesystem::path path)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "ae")) {
    if (!file_) fail();
}

MetricsWriter MetricsWriter::start(const std::filesystem::path& path) {
    AtomicFile(path).commit();
    return MetricsWriter(path);
}

MetricsWriter MetricsWriter::resume(const std::filesystem::path& path, Index last_epoch, Index steps) {
    std::string kept;
    Index later = 0;
    Continuity continuity;
    if (!std::filesystem::exists(path)) {
        MetricsWriter writer = start(path);
        writer.has_gaps_ = !continuity.leads_to(last_epoch, steps);
        return writer;
    }
    const std::uintmax_t torn = for_each_line(path, [&](const std::string& text, const ParsedLine& line) {
        if (!line.is_within(last_epoch, steps)) {
            ++later;
            return;
        }
        kept.append(text).append("\n");
        continuity.take(line);
    });
    if (later > 0 || torn > 0) {
        AtomicFile file(path);
        file.write(kept);
        file.commit();
    }
    MetricsWriter writer(path);
    writer.dropped_ = dropped_text(later, torn);
    writer.has_gaps_ = !continuity.leads_to(last_epoch, steps);
    return writer;
}

void MetricsWriter::write(const StepMetrics& metrics) {
    LineBuffer line;
    line.append(R"({"kind":"step","epoch":)");
    line.append(metrics.epoch);
    line.append(R"(,"step":)");
    line.append(metrics.step);
    line.append(R"(,"loss":)");
    line.append(metrics.loss);
    line.append("}\n");
    write_line(line.text());
}

void MetricsWriter::write(const EpochMetrics& metrics) {
    LineBuffer line;
    line.append(R"({"kind":"epoch","epoch":)");
    line.append(metrics.epoch);
    for (const auto& [name, member, later] : epoch_fields(metrics.task)) {
        line.append(R"(,")");
        line.append(name);
        line.append(R"(":)");
        line.append(metrics.*member);
    }
    line.append("}\n");
    write_line(line.text());
    flush();
}

void MetricsWriter::flush() {
    if (std::fflush(file_.get()) != 0) fail();
}

void MetricsWriter::sync() {
    flush();
    // A file that cannot be forced to the disk, such as a pipe, is as safe as it can be.
    if (::fsync(::fileno(file_.get())) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS) fail();
    struct stat named {
    }, open{};
    if (::stat(path_.c_str(), &named) != 0 || ::fstat(::fileno(file_.get()), &open) != 0 ||
        named.st_dev != open.st_dev || named.st_ino != open.st_ino)
        throw FileError(path_.string() + ": was removed or replaced while it was being written");
}

void MetricsWriter::write_line(std::string_view line) {
    if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size()) fail();
}

void MetricsWriter::fail() const {
    throw FileError("cannot write " + path_.string() + ": " + std::strerror(errno) +
                    "; check the free space and the folder's permissions");
}

Metrics read_metrics(const std::filesystem::path& path) {
    Metrics metrics;
    for_each_line(path, [&](const std::string&, const ParsedLine& line) {
        if (line.step) metrics.steps.push_back(*line.step);
        if (line.epoch) metrics.epochs.push_back(*line.epoch);
    });
    return metrics;
}

}  // namespace lockstep
