//! Updates of parameters in one pass over slices.

use rayon::prelude::*;

use super::simd::vectorized;
use crate::backend::AdamStep;

/// Values in one task.
const CHUNK: usize = 1 << 14;

/// One step of Adam. `out` is parameter, first and second moment; all slices have the same length.
pub(crate) fn adam(
    parameter: &[f32],
    gradient: &[f32],
    moments: Option<[&[f32]; 2]>,
    out: [&mut [f32]; 3],
    step: &AdamStep,
) {
    let (factor, epsilon) = step.corrections();
    let (rest_1, rest_2) = (1.0 - step.beta_1, 1.0 - step.beta_2);
    // Burn's operators take a scalar in the element's type, too.
    let lr = step.lr as f32;
    let [p_out, m_out, v_out] = out;
    p_out
        .par_chunks_mut(CHUNK)
        .zip(m_out.par_chunks_mut(CHUNK))
        .zip(v_out.par_chunks_mut(CHUNK))
        .zip(parameter.par_chunks(CHUNK))
        .zip(gradient.par_chunks(CHUNK))
        .enumerate()
        .for_each(|(at, ((((p_out, m_out), v_out), p), g))| {
            vectorized(
                #[inline(always)]
                || {
                    let range = at * CHUNK..at * CHUNK + g.len();
                    let old =
                        moments.and_then(|[m, v]| Some((m.get(range.clone())?, v.get(range)?)));
                    match old {
                        Some((m, v)) => {
                            let old = m.iter().zip(v);
                            for (((m_out, v_out), g), (m, v)) in
                                m_out.iter_mut().zip(v_out.iter_mut()).zip(g).zip(old)
                            {
                                *m_out = m * step.beta_1 + g * rest_1;
                                *v_out = v * step.beta_2 + g * g * rest_2;
                            }
                        }
                        None => {
                            for ((m_out, v_out), g) in m_out.iter_mut().zip(v_out.iter_mut()).zip(g)
                            {
                                *m_out = g * rest_1;
                                *v_out = g * g * rest_2;
                            }
                        }
                    }
                    for (((out, p), m), v) in p_out.iter_mut().zip(p).zip(&*m_out).zip(&*v_out) {
                        *out = p - m * factor / (v.sqrt() + epsilon) * lr;
                    }
                },
            );
        });
}
