#include <lockstep/data/digits.hpp>

#include <lockstep/base/error.hpp>
#include <lockstep/base/random.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "digit_skeletons.hpp"

namespace lockstep {
namespace {

constexpr int side = static_cast<int>(digit_side);
using Canvas = std::array<float, side * side>;  // ink from 0 to 1

// How far images stray from their skeletons: deviations, or half-widths of uniform ranges, in units of the
// digit's height unless said otherwise. Chosen so that a linear classifier gets 80 to 90 % and a small
// network 95 to 98.5 %.
constexpr double jitter_deviation = 0.022;
constexpr double bend_deviation = 0.14;
constexpr double rotation_range = 0.10;                  // tangent of half the angle: ± 11°
constexpr double slant_range = 0.28;                     // horizontal shift per height
constexpr double shift_range = 1.25;                     // pixels
constexpr double height_low = 17.5, height_high = 21.5;  // pixels
constexpr double aspect_low = 0.82, aspect_high = 1.15;
constexpr double pen_low = 0.85, pen_high = 1.75;  // radius in pixels
constexpr double pen_deviation = 0.14;             // of the radius, along the path
constexpr double blur_high = 0.22;                 // share of the ink that goes to either neighbour
constexpr double noise_high = 0.06;                // of full ink

/// A position of the pen and how far its ink reaches there.
struct PenPoint {
    double x, y, radius;
};

PenPoint operator+(PenPoint a, PenPoint b) {
    return {a.x + b.x, a.y + b.y, a.radius + b.radius};
}
PenPoint operator*(double factor, PenPoint p) {
    return {factor * p.x, factor * p.y, factor * p.radius};
}

/// Nearly normal with deviation 1, in plain arithmetic: the sum of three uniforms. One statement each,
/// because compilers may evaluate the terms of one sum in any order.
double spread(RandomStream& random) {
    double sum = -1.5;
    for (int i = 0; i < 3; ++i) sum += random.uniform();
    return 2 * sum;
}

/// Weights of the uniform cubic B-spline at `t` in [0, 1) of a knot interval.
std::array<double, 4> spline_weights(double t) {
    const double s = 1 - t;
    return {s * s * s / 6, (3 * t * t * t - 6 * t * t + 4) / 6, (3 * s * s * s - 6 * s * s + 4) / 6,
            t * t * t / 6};
}

/// A smooth random displacement of the plane: random vectors on a lattice, joined by bicubic B-splines.
class Bend {
  public:
    explicit Bend(RandomStream& random) {
        for (auto& knot : knots_) knot = {bend_deviation * spread(random), bend_deviation * spread(random)};
    }

    SkeletonPoint apply(SkeletonPoint p) const {
        const auto [column, x_weights] = locate(p.x);
        const auto [row, y_weights] = locate(p.y);
        for (std::size_t j = 0; j < 4; ++j) {
            for (std::size_t i = 0; i < 4; ++i) {
                const SkeletonPoint& knot = knots_[(row + j) * lattice + column + i];
                p.x += y_weights[j] * x_weights[i] * knot.x;
                p.y += y_weights[j] * x_weights[i] * knot.y;
            }
        }
        return p;
    }

  private:
    static constexpr std::size_t cells = 4, lattice = cells + 3;
    static constexpr double low = -0.25, spacing = 1.5 / cells;  // covers [−0.25, 1.25]

    struct Location {
        std::size_t first_knot;
        std::array<double, 4> weights;
    };
    static Location locate(double coordinate) {
        const double position = std::clamp((coordinate - low) / spacing, 0.0, cells - 1e-9);
        const auto cell = static_cast<std::size_t>(position);
        return {cell, spline_weights(position - static_cast<double>(cell))};
    }

    std::array<SkeletonPoint, lattice * lattice> knots_;
};

/// The random linear map from the unit square to pixels: scale, slant, then rotation about the middle of the
/// image.
class Placement {
  public:
    explicit Placement(RandomStream& random) {
        const double height = random.uniform(height_low, height_high);
        const double width = height * random.uniform(aspect_low, aspect_high);
        const double slant = random.uniform(-slant_range, slant_range);
        const double t = random.uniform(-rotation_range, rotation_range);
        const double cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
        xx_ = cosine * width;
        xy_ = -cosine * slant * height - sine * height;
        yx_ = sine * width;
        yy_ = -sine * slant * height + cosine * height;
        x_ = 0.5 * side + random.uniform(-shift_range, shift_range);
        y_ = 0.5 * side + random.uniform(-shift_range, shift_range);
    }

    SkeletonPoint apply(SkeletonPoint p) const {
        const double x = p.x - 0.5, y = p.y - 0.5;
        return {x_ + xx_ * x + xy_ * y, y_ + yx_ * x + yy_ * y};
    }

  private:
    double xx_, xy_, yx_, yy_, x_, y_;
};

/// Inks the straight piece from a to b: full inside the pen's reach, fading over one pixel at its edge.
void ink_segment(Canvas& canvas, const PenPoint& a, const PenPoint& b) {
    const double reach = std::max(a.radius, b.radius) + 0.5;
    const auto first = [&](double low) {
        return std::max(0, static_cast<int>(std::floor(low - reach - 0.5)));
    };
    const auto last = [&](double high) {
        return std::min(side - 1, static_cast<int>(std::ceil(high + reach - 0.5)));
    };
    const double dx = b.x - a.x, dy = b.y - a.y;
    const double inverse_square = 1 / std::max(dx * dx + dy * dy, 1e-12);
    for (int row = first(std::min(a.y, b.y)); row <= last(std::max(a.y, b.y)); ++row) {
        for (int column = first(std::min(a.x, b.x)); column <= last(std::max(a.x, b.x)); ++column) {
            const double px = column + 0.5 - a.x, py = row + 0.5 - a.y;
            const double t = std::clamp((px * dx + py * dy) * inverse_square, 0.0, 1.0);
            const double ex = px - t * dx, ey = py - t * dy;
            const double radius = a.radius + t * (b.radius - a.radius);
            const double ink = std::clamp(radius + 0.5 - std::sqrt(ex * ex + ey * ey), 0.0, 1.0);
            float& pixel = canvas[static_cast<std::size_t>(row) * side + static_cast<std::size_t>(column)];
            pixel = std::max(pixel, static_cast<float>(ink));
        }
    }
}

/// Draws the smooth curve (Catmull–Rom) through the path; a point that is there twice makes a corner.
void ink_path(Canvas& canvas, std::span<const PenPoint> path) {
    constexpr int pieces = 5;
    for (std::size_t i = 0; i + 1 < path.size(); ++i) {
        const PenPoint &a = path[i], &b = path[i + 1];
        if (a.x == b.x && a.y == b.y) continue;
        const PenPoint& before = path[i == 0 ? 0 : i - 1];
        const PenPoint& after = path[std::min(i + 2, path.size() - 1)];
        const PenPoint a_tangent = 0.5 * (b + -1.0 * before), b_tangent = 0.5 * (after + -1.0 * a);
        PenPoint from = a;
        for (int piece = 1; piece <= pieces; ++piece) {
            const double t = static_cast<double>(piece) / pieces, s = 1 - t;
            const PenPoint to = (s * s * (1 + 2 * t)) * a + (s * s * t) * a_tangent +
                                (t * t * (1 + 2 * s)) * b + (-t * t * s) * b_tangent;
            ink_segment(canvas, from, to);
            from = to;
        }
    }
}

/// Moves a stroke's points at random and draws it.
void ink_stroke(Canvas& canvas, SkeletonStroke stroke, double pen_radius, const Bend& bend,
                const Placement& placement, RandomStream& random) {
    constexpr std::size_t most_points = 16;
    std::array<PenPoint, most_points> path;
    const std::size_t count = std::min(stroke.size(), most_points);
    for (std::size_t i = 0; i < count; ++i) {
        if (i > 0 && stroke[i].x == stroke[i - 1].x && stroke[i].y == stroke[i - 1].y) {
            path[i] = path[i - 1];  // a corner moves as one
            continue;
        }
        const double x = stroke[i].x + jitter_deviation * spread(random);
        const double y = stroke[i].y + jitter_deviation * spread(random);
        const SkeletonPoint p = placement.apply(bend.apply({x, y}));
        path[i] = {p.x, p.y, pen_radius * (1 + pen_deviation * spread(random))};
    }
    ink_path(canvas, std::span(path).first(count));
}

/// One pass of the filter (share, 1 − 2·share, share) along `stride`; what leaves the image is lost.
Canvas blurred(const Canvas& ink, float share, std::size_t stride) {
    Canvas result;
    for (std::size_t i = 0; i < ink.size(); ++i) {
        const std::size_t place = stride == 1 ? i % side : i / side;
        const float before = place > 0 ? ink[i - stride] : 0;
        const float after = place + 1 < side ? ink[i + stride] : 0;
        result[i] = ink[i] + share * (before - 2 * ink[i] + after);
    }
    return result;
}

/// Turns ink into bytes, with noise that is triangular about zero.
void expose(const Canvas& ink, RandomStream& random, std::uint8_t* pixels) {
    const auto darkness = static_cast<float>(random.uniform(0.8, 1.0));
    const auto noise = static_cast<float>(random.uniform(0, noise_high));
    for (std::size_t i = 0; i < ink.size(); i += 2) {  // 32 random bits are two pixels' noise
        const std::uint32_t bits = random.next_u32();
        for (std::size_t j = 0; j < 2; ++j) {
            const std::uint32_t bytes = bits >> (16 * j);
            const auto sum = static_cast<float>((bytes & 0xff) + ((bytes >> 8) & 0xff));
            const float value = darkness * ink[i + j] + noise * (sum / 255.0f - 1.0f) * 2.45f;  // deviation 1
            pixels[i + j] = static_cast<std::uint8_t>(std::clamp(value, 0.0f, 1.0f) * 255.99f);
        }
    }
}

}  // namespace

void render_digit(std::uint64_t seed, std::uint64_t index, std::uint8_t* pixels, std::uint8_t& label) {
    RandomStream random(seed, RandomPurpose::digits, index);
    label = static_cast<std::uint8_t>(random.below(10));
    const std::span<const Skeleton> styles = digit_skeletons(label);
    const Skeleton skeleton = styles[random.below(styles.size())];

    const double pen_radius = random.uniform(pen_low, pen_high);
    const Bend bend(random);
    const Placement placement(random);
    Canvas canvas{};
    for (const SkeletonStroke& stroke : skeleton)
        ink_stroke(canvas, stroke, pen_radius, bend, placement, random);

    const auto share = static_cast<float>(random.uniform(0, blur_high));
    expose(blurred(blurred(canvas, share, 1), share, side), random, pixels);
}

Images make_digits(std::uint64_t seed, Index first, Index count) {
    if (first < 0 || count < 1)
        throw UsageError("digits: " + std::to_string(count) + " images from index " + std::to_string(first) +
                         " on were asked for; ask for at least one, from index 0 or later");
    Images digits;
    digits.title = "digits";
    digits.shape = {digit_side, digit_side, 1};
    digits.classes = 10;
    digits.pixels.resize(static_cast<std::size_t>(count * digits.shape.size()));
    digits.labels.resize(static_cast<std::size_t>(count));
    for (Index i = 0; i < count; ++i)
        render_digit(seed, static_cast<std::uint64_t>(first + i),
                     digits.pixels.data() + i * digits.shape.size(),
                     digits.labels[static_cast<std::size_t>(i)]);
    return digits;
}

}  // namespace lockstep
