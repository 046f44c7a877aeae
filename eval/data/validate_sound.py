"""Compares the metrics of sound with pystoi, pesq and numpy on real speech, and writes what both say as JSON.

Run: pip install numpy scipy soundfile pystoi pesq; python validate_sound.py FOLDER PROGRAM OUT.json
FOLDER holds FLAC or WAV files, PROGRAM is the built example `sound_metrics` of codec-eval, and OUT.json gets the comparison.
Every file is coded by Opus (opus-tools) at 6 and 12 kbit/s and compared at its own sample rate.
"""
import sys, os, glob, json, subprocess, tempfile, datetime, importlib.metadata as md
import numpy as np, soundfile as sf
from reference_sound import all_of
folder,program,out=sys.argv[1:]
names={"si_sdr":"si-sdr","stft":"stft-distance","mel":"mel-distance","stoi":"stoi","estoi":"estoi","pesq_wb":"pesq-wb","pesq_nb":"pesq-nb"}
rows=[]; worst={}; times={}; length=0
with tempfile.TemporaryDirectory() as d:
    for path in sorted(glob.glob(os.path.join(folder,"*.flac"))+glob.glob(os.path.join(folder,"*.wav"))):
        name=os.path.basename(path); x,rate=sf.read(path,dtype="int16"); a=f"{d}/a.wav"; sf.write(a,x,rate,subtype="PCM_16")
        for kbps in (6,12):
            b=f"{d}/b.wav"
            subprocess.run(["opusenc","--quiet","--vbr","--bitrate",str(kbps),"--serial","1","--padding","0",a,d+"/c.opus"],check=True)
            subprocess.run(["opusdec","--quiet","--no-dither",d+"/c.opus",b],check=True)
            y,_=sf.read(b,dtype="int16"); assert len(x)==len(y)
            ours=json.loads(subprocess.run([program,a,b],check=True,capture_output=True).stdout)
            theirs=all_of(x/32768.,y/32768.,rate); theirs={names[k]:float(v) for k,v in theirs.items()}
            for k,v in theirs.items():
                worst[k]=max(worst.get(k,0),abs(ours[k]-v)); times[k]=times.get(k,0)+ours["seconds"][k]
            length+=len(x)/rate
            rows.append(dict(file=name,sample_rate=rate,codec=f"opus, {kbps} kbit/s",ours={k:round(ours[k],6) for k in theirs},theirs={k:round(v,6) for k,v in theirs.items()}))
            print(rows[-1],flush=True)
first=lambda *c: subprocess.run(c,capture_output=True,text=True).stdout.splitlines()[0]
versions={p:md.version(p) for p in ("numpy","scipy","pystoi","pesq")}
json.dump(dict(command="python eval/data/validate_sound.py FOLDER PROGRAM OUT.json",date=datetime.date.today().isoformat(),
    versions=dict(versions,python=sys.version.split()[0],opus=first("opusenc","--version"),**{"pesq (crate)":"0.2.0"}),
    theirs="stoi, estoi: pystoi; pesq-wb, pesq-nb: pesq (sounds resampled by pystoi.utils.resample_oct, 16 bits); others: definitions in numpy, eval/data/reference_sound.py",
    files=len(rows)//2,seconds_of_sound=round(length,3),largest_difference={k:float(f"{v:.3g}") for k,v in worst.items()},
    compute_seconds_per_second_of_sound={k:float(f"{v/length:.3g}") for k,v in times.items()},rows=rows),open(out,"w"),indent=1)
print(worst,{k:v/length for k,v in times.items()})
