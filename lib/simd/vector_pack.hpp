/// Vectors of the width that the including source is compiled for. Of fixed size and elementwise, so that
/// the width decides about speed only: every lane sees the same operations on any of them.
#pragma once

#include <lockstep/base/shape.hpp>

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace lockstep::LOCKSTEP_SET {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

/// Values in a vector.
template <class T>
constexpr int vector_lanes = vector_bytes / static_cast<int>(sizeof(T));

template <class T, int Lanes>
struct PackOf {
    using type __attribute__((vector_size(sizeof(T) * Lanes))) = T;
};
template <class T>
struct PackOf<T, 1> {
    using type = T;
};
template <class T, int Lanes>
using Pack = typename PackOf<T, Lanes>::type;

// For each source its own: a linker would take one of them for all, although they are not compiled with the same flags.
namespace {

template <int Lanes, class T>
inline Pack<T, Lanes> load(const T* from) {
    Pack<T, Lanes> pack;
    __builtin_memcpy(&pack, from, sizeof pack);
    return pack;
}

template <class P, class T>
inline void store(T* to, const P& pack) {
    __builtin_memcpy(to, &pack, sizeof pack);
}

template <int Lanes, class T>
inline Pack<T, Lanes> broadcast(T value) {
    if constexpr (Lanes == 1) {
        return value;
    } else {
        return value - Pack<T, Lanes>{};
    }
}

/// a − b, as a·1 − b where the processor fuses that: the product is exact, so these are the same bits, but
/// the multipliers compute them, which are idle where sums keep the adders busy. (Of two NaNs either may be
/// kept.)
template <int Lanes, class T>
inline __attribute__((always_inline)) Pack<T, Lanes> subtract_in_multiplier(const Pack<T, Lanes>& a,
                                                                            const Pack<T, Lanes>& b) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Pack<T, Lanes>) == 64 && sizeof(T) == sizeof(float))
        return (Pack<T, Lanes>)_mm512_fmsub_ps((__m512)a, _mm512_set1_ps(1), (__m512)b);
    else
#elif defined(__AVX2__) && defined(__FMA__)
    if constexpr (sizeof(Pack<T, Lanes>) == 32 && sizeof(T) == sizeof(float))
        return (Pack<T, Lanes>)_mm256_fmsub_ps((__m256)a, _mm256_set1_ps(1), (__m256)b);
    else
#endif
        return a - b;
}

/// max(0, z); a NaN stays one.
template <int Lanes, class T>
inline Pack<T, Lanes> rectified(const Pack<T, Lanes>& z) {
    constexpr Pack<T, Lanes> zero{};
    return z < zero ? zero : z;
}

/// Value where `z` is positive, else 0.
template <int Lanes, class T>
inline Pack<T, Lanes> where_positive(const Pack<T, Lanes>& z, const Pack<T, Lanes>& value) {
    constexpr Pack<T, Lanes> zero{};
    return z > zero ? value : zero;
}

/// sums[i] += lane i, for all lanes.
template <int Lanes, class T>
inline __attribute__((always_inline)) void add_widened(double* sums, const Pack<T, Lanes>& pack) {
    if constexpr (Lanes == 1) {
        *sums += static_cast<double>(pack);
    } else if constexpr (sizeof(T) == sizeof(double)) {
        store(sums, load<Lanes>(sums) + pack);
#if defined(__AVX512F__)
    } else if constexpr (Lanes == 16) {
        // Compilers make a detour over halves of halves if left alone with it.
        const auto low = (Pack<double, 8>)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)pack));
        const auto high = (Pack<double, 8>)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)pack, 1));
        store(sums, load<8>(sums) + low);
        store(sums + 8, load<8>(sums + 8) + high);
#elif defined(__AVX2__)
    } else if constexpr (Lanes == 8) {
        const auto low = (Pack<double, 4>)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)pack));
        const auto high = (Pack<double, 4>)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)pack, 1));
        store(sums, load<4>(sums) + low);
        store(sums + 4, load<4>(sums + 4) + high);
#endif
    } else {
        constexpr int half = Lanes / 2;
        T values[Lanes];
        store(values, pack);
        add_widened<half, T>(sums, load<half>(values));
        add_widened<half, T>(sums + half, load<half>(values + half));
    }
}

/// Past the caches: for what will not be read again soon. `to` is aligned to the pack where it is a vector.
template <class P, class T>
inline void stream(T* to, const P& pack) {
#if defined(__AVX512F__)
    if constexpr (sizeof(P) == 64) return _mm512_stream_si512(reinterpret_cast<__m512i*>(to), (__m512i)pack);
#elif defined(__AVX2__)
    if constexpr (sizeof(P) == 32) return _mm256_stream_si256(reinterpret_cast<__m256i*>(to), (__m256i)pack);
#elif defined(__SSE2__)
    if constexpr (sizeof(P) == 16) return _mm_stream_si128(reinterpret_cast<__m128i*>(to), (__m128i)pack);
#endif
    store(to, pack);
}

/// Values before the first that a vector store may stream to.
template <class Scalar>
inline Index values_to_alignment(const Scalar* pointer) {
    const auto beyond = reinterpret_cast<__UINTPTR_TYPE__>(pointer) % 64;
    return beyond == 0 ? 0 : static_cast<Index>((64 - beyond) / sizeof(Scalar));
}

/// Streamed stores are seen in order again from here on.
inline void end_streaming() {
#ifdef __SSE2__
    _mm_sfence();
#endif
}

template <int Lanes>
struct LaneCount {};

/// Calls body(LaneCount, first) for parts of [begin, end): of Most lanes as long as they fit, then half, and
/// so on down to one, so that ragged ends are vectors, too.
template <int Most, class Body>
inline __attribute__((always_inline)) void for_parts(Index begin, Index end, Body body) {
    for (; begin + Most <= end; begin += Most) body(LaneCount<Most>{}, begin);
    if constexpr (Most > 1) for_parts<Most / 2>(begin, end, body);
}

}  // namespace

}  // namespace lockstep::LOCKSTEP_SET
